"""One image to render: its effective parameters, frozen, with ids that are content hashes.

Knows nothing of files, Hydra, Snakemake or torch. A request_id covers everything that can change a pixel
(weights by digest) and nothing that cannot (names, paths, device, worker, file format).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

# Raised by hand when pixels change on purpose: a new revision makes every stored image and embedding stale.
NUMERICS_REVISION = 1

PROMPT_EMBEDS = "prompt_embeds"  # the tensor in a file of that key, and in every embedding of a text
POOLED_PROMPT_EMBEDS = "pooled_prompt_embeds"  # beside it, of a family with CLIP
INPAINT, CONTROL = 0, 1  # values of ctrl_idx


@dataclass(frozen=True)
class Lora:
    """One LoRA or LoKr file of a stack, at the strength in effect."""

    path: str
    network_multiplier: float
    sha256: str = ""  # of the file; "" until the plan job has read it


@dataclass(frozen=True)
class ReferenceImage:
    """One reference image (ctrl_img) that the model sees beside the prompt, in the order in which they are numbered."""

    path: str
    sha256: str = ""  # of the file; "" until the plan job has read it


@dataclass(frozen=True)
class Request:
    """The effective parameters of one image. Sizes in pixels; `index` counts prompts of the set from 0."""

    # names
    experiment: str
    model: str
    lora: str
    prompts: str
    index: int
    image_name: str  # file name without ending, unique within the combination
    axes: tuple[tuple[str, Any], ...]  # further axes of the matrix, in its order: (("seed", 1), …)
    # text
    prompt_template: str
    prompt: str
    neg: str
    trigger_word: str | None
    # picture
    width_requested: int
    height_requested: int
    width: int
    height: int
    seed: int
    sample_steps: int
    guidance_scale: float
    # model
    family: str
    checkpoint: str
    text_encoder: str
    dtype: str
    quantize_transformer: str | None
    quantize_text_encoder: str | None
    text_encoder_cast: bool
    guidance: str  # cfg | embedded | none: a distilled model's, without effect
    schedule: str  # aitk | diffusers
    numerics: str  # exact | fast
    max_sequence_length: int
    attn_masking: bool  # the embedding's rows of padding are zero (FLUX.1 and Flex.1 with T5)
    lora_merge: str | None  # merged | merged_in_dtype | live; None where no adapter is in effect
    timestep_rounding: str = "aitk"  # aitk | diffusers: of the time that the transformer is told
    noise_device: str = "cpu"  # cpu | cuda: whose generator draws the noise
    network_multiplier: float = 1.0  # of the whole stack: each file's own is multiplied by it in `loras`
    loras: tuple[Lora, ...] = ()
    allow_foreign_lora: bool = False  # adapters of a kindred base may be applied as far as they fit
    ctrl_images: tuple[ReferenceImage, ...] = ()
    ctrl_idx: int | None = None  # Flex.2's slot for its one image: 0 inpaint, 1 control; None where there is none
    prompt_embeds: str | None = None  # a file in place of a prompt, whose text is then ""
    # why
    lora_merge_reason: str | None = None
    not_comparable: tuple[str, ...] = ()  # why no trainer could have previewed the picture; () if one could
    # digests, known once the plan job has seen the files
    checkpoint_revision: str | None = None
    checkpoint_digest: str = ""
    text_encoder_digest: str = ""
    prompt_embeds_sha256: str | None = None
    warnings: tuple[str, ...] = field(default=())

    @property
    def uses_neg(self) -> bool:
        """True when classifier-free guidance runs, so that the negative prompt changes the picture."""
        return self.guidance == "cfg" and self.guidance_scale > 1

    @property
    def active_loras(self) -> tuple[Lora, ...]:
        """The adapters that change a weight: a multiplier of 0 is the base model."""
        return tuple(lora for lora in self.loras if lora.network_multiplier != 0)

    @property
    def texts(self) -> tuple[str, ...]:
        """What the text encoder has to encode for this image: the prompt, then the negative prompt if used."""
        return (*(() if self.prompt_embeds else (self.prompt,)), *((self.neg,) if self.uses_neg else ()))

    @property
    def request_id(self) -> str:
        """64 hex digits over everything that can change a pixel."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NOT_IN_ID}
        values["revision"] = NUMERICS_REVISION
        values["embeddings"] = [self.embedding_id(text) for text in self.texts]
        values["ctrl_images"] = [image.sha256 for image in self.ctrl_images]
        values["loras"] = [[lora.sha256, lora.network_multiplier] for lora in self.active_loras]
        values["lora_merge"] = self.lora_merge if self.active_loras else None
        values["allow_foreign_lora"] = self.allow_foreign_lora and bool(self.active_loras)
        return digest_of(values)

    def embedding_id(self, text: str) -> str:
        """64 hex digits over everything that can change the embedding of `text`."""
        return digest_of(
            {
                "revision": NUMERICS_REVISION,
                "family": self.family,
                "text_encoder": self.text_encoder_digest,
                "dtype": self.dtype,
                "quantize": self.quantize_text_encoder,
                "cast": self.text_encoder_cast,
                "max_sequence_length": self.max_sequence_length,
                "attn_masking": self.attn_masking,
                "text": text,
            }
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` gives back an equal Request."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`, after a trip through JSON."""
        known = {f.name: values[f.name] for f in fields(cls)}
        known["loras"] = tuple(Lora(**lora) for lora in known["loras"])
        known["axes"] = tuple((name, value) for name, value in known["axes"])
        known["ctrl_images"] = tuple(ReferenceImage(**image) for image in known["ctrl_images"])
        for name in ("not_comparable", "warnings"):
            known[name] = tuple(known[name])
        return cls(**known)


# Every other field of a request is in its id, so that a new one cannot be forgotten.
_NOT_IN_ID = frozenset(
    (
        # names and places
        *("experiment", "model", "lora", "prompts", "index", "image_name", "axes", "warnings"),
        *("checkpoint", "checkpoint_revision", "text_encoder", "prompt_embeds"),
        # reasons
        *("lora_merge_reason", "not_comparable"),
        # what was asked for, where what is in effect stands beside it
        *("prompt_template", "trigger_word", "width_requested", "height_requested", "network_multiplier"),
        # in the ids of the embeddings
        *("prompt", "neg", "text_encoder_digest", "quantize_text_encoder", "text_encoder_cast", "max_sequence_length"),
        "attn_masking",
    )
)


def digest_of(value: Any) -> str:
    """SHA-256 (64 hex digits) of a value's canonical JSON: sorted keys, no spaces, UTF-8, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
