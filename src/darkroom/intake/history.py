"""How earlier versions of ai-toolkit rendered previews differently from the version that Darkroom was checked against.

One table, with sources: commits and issues of ostris/ai-toolkit, commits of the diffusers that it pins. Whoever adds a
family says here what changed for it. What is newer than CHECKED nobody has read. Headers say 0.1.0 of everything from
October 2023 to June 2025: info.py took no notice of version.py until 5e733764, of 0.3.1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from darkroom.intake.architectures import ARCHITECTURES
from darkroom.lora_files.training.trainer import Trainer, version_of

SET: tuple[Any, ...] = ()  # of a key: any value at all
Keys = Mapping[str, tuple[Any, ...]]  # dotted keys of a job's process, and the values that are meant


@dataclass(frozen=True, kw_only=True)
class TrainerChange:
    """Versions `first` to `last`, as headers have them, treated jobs of `archs` otherwise.

    `does`: what Darkroom does about their previews. "followed": it computes as they did, by fields of Architecture as
    they `was`; "told": it computes as CHECKED does, and says so beside the picture; "refused": they are not
    reproducible, as nothing here computes so, or as they are known to be bad.
    """

    archs: tuple[str, ...]
    first: str
    last: str
    mixed: tuple[str, ...] = ()  # versions of which some copies did so and some did not: the commit is no bump's own
    until: str | None = None  # the day of the commit that ended it, UTC: what was made before, a copy made that did so
    where: tuple[Keys, ...] = ()  # of each of these one key at least has such a value; (): in every job
    what: str  # what the trainer did: a verb follows its version
    source: str
    does: Literal["followed", "told", "refused"]
    was: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.does == "followed") != bool(self.was):
            raise ValueError(f"{self.what}: expected `was` where the change is followed, and nowhere else")

    def concerns(self, arch: str, process: Mapping[str, Any]) -> bool:
        """True where it makes a difference to a job. `process`: as its configuration has it."""
        return arch in self.archs and all(any(_has(process, *key) for key in keys.items()) for keys in self.where)

    def is_of(self, trainer: Trainer) -> bool:
        """True for a version of which some copies at least did so."""
        number, first, last = trainer.number, version_of(self.first), version_of(self.last)
        return bool(number and first and last and first <= number <= last)

    def is_certain(self, trainer: Trainer, made_at: str | None) -> bool:
        """True where the copy of that version did so which made a picture then (ISO 8601, UTC; None: unknown)."""
        is_earlier = made_at is not None and self.until is not None and made_at < self.until
        return self.is_of(trainer) and (trainer.version not in self.mixed or is_earlier)

    @property
    def versions(self) -> str:
        """0.7.20 to 0.8.2."""
        return self.first if self.first == self.last else f"{self.first} to {self.last}"

    @property
    def copies(self) -> str:
        """Those of a mixed version that did so, in words."""
        return f"copies from before {self.until} of" if self.until else "some copies of"


_KLEIN, _Z_IMAGE = ("flux2_klein_4b", "flux2_klein_9b"), ("zimage", "zimage_deturbo", "zimage_turbo")
_QUANTIZED = {"model.quantize": (True,)}
_LIVE = {**_QUANTIZED, "model.layer_offloading": (True,), "model.auto_memory": (True,)}

CHANGES: Sequence[TrainerChange] = (
    TrainerChange(
        archs=_KLEIN,
        first="0.7.20",
        last="0.8.2",
        mixed=("0.8.2",),
        until="2026-04-01",
        where=({**_QUANTIZED, "model.quantize_te": (True,), "model.low_vram": (True,)},),
        what="cast the whole text encoder to the job's dtype first, and quantised it as model.qtype says, not qtype_te",
        source="f213e3b1",
        does="followed",
        was={"casts_text_encoder": "always", "takes_qtype_te": False},
    ),
    TrainerChange(
        archs=("flux", "flex1"),
        first="0.1.0",
        last="0.1.0",
        mixed=("0.1.0",),
        until="2025-04-29",
        where=({"model.vae_path": SET},),
        what="passed over model.vae_path",
        source="5890e67a",
        does="followed",
        was={"ignored": (*ARCHITECTURES["flux"].ignored, "vae_path")},
    ),
    TrainerChange(
        archs=("flux", "flex1"),
        first="0.1.0",
        last="0.1.0",
        mixed=("0.1.0",),
        until="2024-11-15",
        what="drew the noise on the GPU, with its generator",
        source="6509ba44",
        does="refused",
    ),
    TrainerChange(
        archs=("flux", "flex1"),
        first="0.1.0",
        last="0.1.0",
        mixed=("0.1.0",),
        until="2025-01-26",
        what="sampled with a static shift of 3, and blurred with the diffusers of December 2024",
        source="1188cf1e, issue #238",
        does="refused",
    ),
    TrainerChange(
        archs=(*_KLEIN, "flux2", "flux", "flex1", "flex2", *_Z_IMAGE),
        first="0.1.0",
        last="0.10.24",
        mixed=("0.10.24",),
        until="2026-07-15",
        where=({"network.type": ("lokr",)}, _LIVE),
        what="added a LoKr beside the base to its weights, in the base's dtype, which rounds otherwise",
        source="e44c34a9",
        does="told",
    ),
    TrainerChange(
        archs=_Z_IMAGE,
        first="0.7.6",
        last="0.7.24",
        what="took guidance as the job has it, not g − 1, and ran classifier-free guidance above 1",
        source="6233efe1, 859635e9 (diffusers 97c2c6e397)",
        does="followed",
        was={"guidance_rule": "raw_above_1"},
    ),
    TrainerChange(
        archs=_Z_IMAGE,
        first="0.7.25",
        last="0.10.20",
        what="took guidance as the job has it, not g − 1, and ran classifier-free guidance above 0, turbo's too",
        source="6233efe1, 859635e9 (diffusers 97c2c6e397)",
        does="followed",
        was={"guidance_rule": "raw"},
    ),
    TrainerChange(
        archs=_Z_IMAGE,
        first="0.7.6",
        last="0.9.14",
        mixed=("0.9.14",),
        until="2026-05-28",
        what="floored sizes to multiples of 32, not 16",
        source="ef57c107",
        does="followed",
        was={"resolution_divisor": 32},
    ),
    TrainerChange(
        archs=_Z_IMAGE,
        first="0.7.6",
        last="0.10.24",
        mixed=("0.10.24",),
        until="2026-07-13",
        where=(_QUANTIZED,),
        what="quantised embedders and the final layer too",
        source="28f2c0ac",
        does="followed",
        was={"quantizes_embedders": True},
    ),
    TrainerChange(
        archs=_Z_IMAGE,
        first="0.7.6",
        last="0.10.24",
        mixed=("0.10.24",),
        until="2026-07-15",
        what="took its steps over linspace(1, 0, N), the last of which stands still, not linspace(1, 1/N, N)",
        source="3e6bd874 (diffusers 32ecbe3836)",
        does="followed",
        was={"schedule": "aitk_to_zero"},
    ),
    TrainerChange(
        archs=_Z_IMAGE,
        first="0.11.2",
        last="0.12.0",
        mixed=("0.11.2", "0.12.0"),
        where=(_QUANTIZED, {"model.assistant_lora_path": SET}),
        what="had float8 weights by torchao 0.17, not 0.10",
        source="1e58c9a0 to 038f24e8",
        does="told",
    ),
)


def _has(process: Mapping[str, Any], key: str, values: tuple[Any, ...]) -> bool:
    """True where a dotted key has one of the values; for no values, where it has any."""
    found: Any = process
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    found = found.lower() if isinstance(found, str) else found
    return found is not None if values == SET else found in values
