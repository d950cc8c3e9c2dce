"""What earlier versions of ai-toolkit computed otherwise than the one that was checked, as far as previews show it.

One table, with sources: commits of ostris/ai-toolkit, and of the diffusers that it pins. Whoever adds a family says
here what changed for it. What is newer than CHECKED nobody has read.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from darkroom.display import named
from darkroom.intake.architectures import ARCHITECTURES, Architecture
from darkroom.lora_files.training.trainer import AI_TOOLKIT, CHECKED, Trainer, version_of

SET: tuple[Any, ...] = ()  # of a key: any value at all
Keys = Mapping[str, tuple[Any, ...]]  # dotted keys of a job's process, and the values that are meant


@dataclass(frozen=True, kw_only=True)
class Change:
    """Versions `first` to `last`, as version.py has them, treated jobs of `archs` otherwise.

    `does`: what Darkroom does about their previews. "followed": it computes as they did, by fields of Architecture as
    they `was`; "told": it computes as CHECKED does, and says so beside the picture; "refused": they are not
    reproducible, as nothing here computes so, or as they are known to be bad.
    """

    archs: tuple[str, ...]
    first: str
    last: str
    mixed: tuple[str, ...] = ()  # versions of which some copies did so and some did not: the commit is no bump's own
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


_KLEIN, _Z_IMAGE = ("flux2_klein_4b", "flux2_klein_9b"), ("zimage",)
_QUANTIZED = {"model.quantize": (True,)}
_LIVE = {**_QUANTIZED, "model.layer_offloading": (True,), "model.auto_memory": (True,)}

CHANGES: Sequence[Change] = (
    Change(
        archs=_KLEIN,
        first="0.7.20",
        last="0.8.2",
        mixed=("0.8.2",),
        where=({**_QUANTIZED, "model.quantize_te": (True,), "model.low_vram": (True,)},),
        what="cast the whole text encoder to the job's dtype first, and quantised it as model.qtype says, not qtype_te",
        source="f213e3b1",
        does="followed",
        was={"casts_text_encoder": "always", "takes_qtype_te": False},
    ),
    Change(
        archs=("flux", "flex1"),
        first="0.1.0",
        last="0.2.7",
        mixed=("0.2.7",),
        where=({"model.vae_path": SET},),
        what="passed over model.vae_path",
        source="5890e67a",
        does="followed",
        was={"ignored": (*ARCHITECTURES["flux"].ignored, "vae_path")},
    ),
    Change(
        archs=(*_KLEIN, "flux2", "flux", "flex1", "flex2", *_Z_IMAGE),
        first="0.1.0",
        last="0.10.24",
        mixed=("0.10.24",),
        where=({"network.type": ("lokr",)}, _LIVE),
        what="added a LoKr beside the base to its weights, in the base's dtype, which rounds otherwise",
        source="e44c34a9",
        does="told",
    ),
    Change(
        archs=_Z_IMAGE,
        first="0.7.6",
        last="0.7.24",
        what="took guidance as the job has it, not g − 1, and ran classifier-free guidance above 1",
        source="6233efe1, 859635e9 (diffusers 97c2c6e397)",
        does="refused",
    ),
    Change(
        archs=_Z_IMAGE,
        first="0.7.25",
        last="0.10.20",
        what="took guidance as the job has it, not g − 1, and ran classifier-free guidance above 0, turbo's too",
        source="6233efe1, 859635e9 (diffusers 97c2c6e397)",
        does="refused",
    ),
    Change(
        archs=_Z_IMAGE,
        first="0.7.6",
        last="0.9.14",
        mixed=("0.9.14",),
        what="floored sizes to multiples of 32, not 16",
        source="ef57c107",
        does="refused",
    ),
    Change(
        archs=_Z_IMAGE,
        first="0.7.6",
        last="0.10.24",
        mixed=("0.10.24",),
        where=(_QUANTIZED,),
        what="quantised embedders and the final layer too",
        source="28f2c0ac",
        does="refused",
    ),
    Change(
        archs=_Z_IMAGE,
        first="0.7.6",
        last="0.10.24",
        mixed=("0.10.24",),
        what="took its steps over linspace(1, 0, N), the last of which stands still, not linspace(1, 1/N, N)",
        source="3e6bd874 (diffusers 32ecbe3836)",
        does="refused",
    ),
    Change(
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


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How the trainer of a checkpoint computed a job's previews: sentences, and its architecture as it was then."""

    architecture: Architecture
    followed: tuple[str, ...] = ()  # what is computed otherwise than CHECKED does
    reasons: tuple[str, ...] = ()  # why its previews cannot be reproduced
    notes: tuple[str, ...] = ()  # what to know where one differs


def rules_of(
    arch: str, process: Mapping[str, Any], trainer: Trainer | None, changes: Sequence[Change] = CHANGES
) -> Rules:
    """The rules for a job of an architecture in the table of architectures; CHECKED's where the version is unknown."""
    architecture = ARCHITECTURES[arch]
    concerned = [change for change in changes if change.concerns(arch, process)]
    if trainer is None or trainer.number is None:
        notes = (f"up to {change.last} it {change.what}" for change in concerned)
        unknown = f"which version of ai-toolkit previewed it is not known, and it is computed as {CHECKED} does"
        return Rules(architecture=architecture, notes=("; ".join([unknown, *notes]),) if concerned else ())
    theirs = [change for change in concerned if change.is_of(trainer)]
    certain = [change for change in theirs if trainer.version not in change.mixed]
    followed = [change for change in certain if change.does == "followed"]
    for change in followed:
        architecture = replace(architecture, **change.was)
    return Rules(
        architecture=architecture,
        followed=tuple(f"{trainer} {change.what}" for change in followed),
        reasons=tuple(f"{trainer} {change.what}" for change in certain if change.does == "refused"),
        notes=(
            *(
                [f"{trainer} is newer than {CHECKED}, which was checked: what it does otherwise is not known"]
                * trainer.is_newer
            ),
            *(f"{trainer} {change.what}" for change in certain if change.does == "told"),
            *(f"some copies of {trainer} {change.what}" for change in theirs if change not in certain),
        ),
    )


@dataclass(frozen=True)
class JobVersions:
    """The trainers that made one job's checkpoints, by step, None for one that is not known, and their rules.

    The base model's pictures of step 0 are taken for the first checkpoint's trainer's.
    """

    arch: str
    process: Mapping[str, Any]
    trainers: Mapping[int, Trainer | None]

    @property
    def newest(self) -> Rules:
        """The last checkpoint's, which the model in conf/ follows."""
        return self._rules(self.at(max(self.trainers, default=0)))

    def at(self, step: int) -> Trainer | None:
        """Who made the pictures of a step; None where that is not known."""
        return self.trainers.get(step or min(self.trainers, default=0))

    def reasons(self, step: int) -> Iterator[str]:
        """Why the pictures of a step cannot be reproduced."""
        trainer = self.at(step)
        rules = self._rules(trainer)
        yield from rules.reasons
        if trainer and trainer.number and rules.architecture != self.newest.architecture:
            last = self.at(max(self.trainers))
            yield f"{trainer} computed otherwise than {last or 'that of the last checkpoint'}, which conf/ follows"

    def notes(self, step: int) -> tuple[str, ...]:
        """What to know of the pictures of a step where they differ; nothing where no checkpoint was kept."""
        return self._rules(self.at(step)).notes if step == 0 or step in self.trainers else ()

    def __str__(self) -> str:
        """Who trained, as far as the headers say it; of several with the steps."""
        steps: dict[Trainer | None, list[str]] = defaultdict(list)
        for step, trainer in sorted(self.trainers.items()):
            steps[trainer].append(str(step))
        who = {trainer: (trainer or Trainer(AI_TOOLKIT)).told for trainer in steps}
        return ", ".join(
            f"{who[trainer]} (step {named(theirs)})" if len(steps) > 1 else who[trainer]
            for trainer, theirs in steps.items()
        )

    def told(self) -> Iterator[str]:
        """A line on each thing that is computed otherwise than CHECKED does, or that is to be known."""
        every = [self._rules(trainer) for trainer in dict.fromkeys(self.trainers.values())]
        yield from (f"computed as then: {said}" for rules in every for said in rules.followed)
        yield from (note for rules in every for note in rules.notes)

    def _rules(self, trainer: Trainer | None) -> Rules:
        return rules_of(self.arch, self.process, trainer)


def _has(process: Mapping[str, Any], key: str, values: tuple[Any, ...]) -> bool:
    """True where a dotted key has one of the values; for no values, where it has any."""
    found: Any = process
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    found = found.lower() if isinstance(found, str) else found
    return found is not None if values == SET else found in values
