"""Whose rules a job's previews follow: those of the version of ai-toolkit that made them, and what is said of it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from darkroom.display import named
from darkroom.intake.architectures import ARCHITECTURES, Architecture
from darkroom.intake.history import CHANGES, TrainerChange
from darkroom.lora_files.training.trainer import AI_TOOLKIT, CHECKED, Trainer


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How the trainer of a checkpoint computed a job's previews: sentences, and its architecture as it was then."""

    architecture: Architecture
    followed: tuple[str, ...] = ()  # what is computed otherwise than CHECKED does
    reasons: tuple[str, ...] = ()  # why its previews cannot be reproduced
    notes: tuple[str, ...] = ()  # what to know where one differs


def rules_of(
    arch: str,
    process: Mapping[str, Any],
    trainer: Trainer | None,
    made_at: str | None = None,
    changes: Sequence[TrainerChange] = CHANGES,
) -> Rules:
    """The rules for a job of an architecture in the table of architectures; CHECKED's where the version is unknown.

    `made_at`: when its pictures were made, as far as that is known (ISO 8601, UTC).
    """
    architecture = ARCHITECTURES[arch]
    concerned = [change for change in changes if change.concerns(arch, process)]
    if trainer is None or trainer.number is None:
        notes = (f"up to {change.last} it {change.what}" for change in concerned)
        unknown = f"which version of ai-toolkit previewed it is not known, and it is computed as {CHECKED} does"
        return Rules(architecture=architecture, notes=("; ".join([unknown, *notes]),) if concerned else ())
    said: dict[str, list[str]] = {"followed": [], "refused": [], "told": []}
    if trainer.is_newer:
        said["told"].append(
            f"{trainer} is newer than {CHECKED}, which was checked: what it does otherwise is not known"
        )
    for change in concerned:
        if change.is_certain(trainer, made_at):
            said[change.does].append(f"{trainer} {change.what}")
            architecture = replace(architecture, **change.was)
        elif change.is_of(trainer):
            said["told"].append(f"{change.copies} {trainer} {change.what}")
    return Rules(
        architecture=architecture,
        followed=tuple(said["followed"]),
        reasons=tuple(said["refused"]),
        notes=tuple(said["told"]),
    )


@dataclass(frozen=True)
class JobVersions:
    """The trainers that made one job's checkpoints, by step, None for one that is not known, and their rules.

    The base model's pictures of step 0 are taken for the first checkpoint's trainer's. `made_at`: of a step's
    pictures, in ISO 8601, UTC.
    """

    arch: str
    process: Mapping[str, Any]
    trainers: Mapping[int, Trainer | None]
    made_at: Mapping[int, str]

    @property
    def newest(self) -> Rules:
        """The last checkpoint's, which the model in conf/ follows."""
        return self._rules(max(self.trainers, default=0))

    def at(self, step: int) -> Trainer | None:
        """Who made the pictures of a step; None where that is not known."""
        return self.trainers.get(step or min(self.trainers, default=0))

    def reasons(self, step: int) -> Iterator[str]:
        """Why the pictures of a step cannot be reproduced."""
        trainer, rules = self.at(step), self._rules(step)
        yield from rules.reasons
        if trainer and trainer.number and rules.architecture != self.newest.architecture:
            last = self.at(max(self.trainers)) or Trainer(AI_TOOLKIT)
            how = "; ".join(rules.followed) or f"made by {trainer}"
            yield f"{how}; conf/ follows {last}, which computes otherwise"

    def notes(self, step: int) -> tuple[str, ...]:
        """What to know of the pictures of a step where they differ; nothing where no checkpoint was kept."""
        return self._rules(step).notes if step == 0 or step in self.trainers else ()

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
        yield from (f"computed as then: {said}" for said in self.newest.followed)
        yield from dict.fromkeys(note for step in self.trainers for note in self._rules(step).notes)

    def _rules(self, step: int) -> Rules:
        return rules_of(self.arch, self.process, self.at(step), self.made_at.get(step))
