"""One picture to render: its effective parameters, frozen, with the id that is a content hash."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

from darkroom.request.digest import NUMERICS_REVISION, digest_of, in_id
from darkroom.request.parts import (
    CFG_ABOVE,
    Adapters,
    Asked,
    BaseModel,
    Encoder,
    Lora,
    ReferenceImage,
    Remarks,
    Sampling,
    Source,
    Text,
    Title,
)


@dataclass(frozen=True, kw_only=True)
class Request:
    """The effective parameters of one picture. No two parts have a field of the same name with different values."""

    title: Title
    asked: Asked
    text: Text
    sampling: Sampling
    adapters: Adapters = field(default_factory=Adapters)
    source: Source
    base: BaseModel
    encoder: Encoder
    remarks: Remarks = field(default_factory=Remarks)

    def __post_init__(self) -> None:
        computing = {(part.family, part.dtype) for part in (self.base, self.encoder)}
        if len(computing) > 1:
            raise ValueError(f"expected one family and one dtype of base model and text encoder, got {computing}")

    @property
    def uses_neg(self) -> bool:
        """True when classifier-free guidance runs, so that the negative prompt changes the picture."""
        return self.base.guidance == "cfg" and self.sampling.guidance_scale > CFG_ABOVE[self.sampling.guidance_rule]

    @property
    def texts(self) -> tuple[str, ...]:
        """What the text encoder has to encode for this picture: the prompt, then the negative prompt if used."""
        prompt = () if self.text.prompt_embeds else (self.text.prompt,)
        return (*prompt, *((self.text.neg,) if self.uses_neg else ()))

    @cached_property  # a render job asks for it a dozen times a picture
    def request_id(self) -> str:
        """64 hex digits over everything that can change a pixel."""
        values = {"revision": NUMERICS_REVISION, "embeddings": [self.encoder.embedding_id(text) for text in self.texts]}
        for part in (self.base, self.sampling, self.text, self.adapters.in_effect):
            values |= in_id(part)
        return digest_of(values)

    def changed(self, **values: Any) -> Self:
        """The request with other values, by field, whichever part has it; what two parts have changes in both.

        TypeError for a name that no part has.
        """
        unknown = values.keys() - {name for kind in _PARTS.values() for name in _names(kind)}
        if unknown:
            raise TypeError(f"expected fields of a request, got {', '.join(sorted(unknown))}")
        own = {part: {k: v for k, v in values.items() if k in _names(kind)} for part, kind in _PARTS.items()}
        return replace(self, **{part: replace(getattr(self, part), **own[part]) for part in own if own[part]})

    def row(self) -> dict[str, Any]:
        """Plain values, by field: what the parts hold, side by side."""
        return {name: value for part in asdict(self).values() for name, value in part.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain values, by part; `from_json` gives back an equal Request."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`, after a trip through JSON.

        ValueError unless there is every field of every part and no other; what stands beside the parts is not read.
        """
        return cls(**{part: _part(part, kind, values.get(part)) for part, kind in _PARTS.items()})


_PARTS: Mapping[str, Any] = {f.name: f.type for f in fields(Request)}
_FROM_JSON: Mapping[str, Callable[[Any], Any]] = {
    "axes": lambda axes: tuple((name, value) for name, value in axes),
    "ctrl_images": lambda images: tuple(ReferenceImage(**image) for image in images),
    "loras": lambda loras: tuple(Lora(**lora) for lora in loras),
    "not_comparable": tuple,
    "warnings": tuple,
}


def _names(kind: Any) -> set[str]:
    return {f.name for f in fields(kind)}


def _part(name: str, kind: Any, values: Any) -> Any:
    if not isinstance(values, Mapping) or values.keys() != _names(kind):
        found = ", ".join(values) if isinstance(values, Mapping) else values
        raise ValueError(f"{name}: expected {', '.join(f.name for f in fields(kind))}, got {found}")
    return kind(**{key: _FROM_JSON[key](value) if key in _FROM_JSON else value for key, value in values.items()})
