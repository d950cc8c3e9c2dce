"""A candidate: a checkpoint at a strength; and which pictures of two candidates are compared with each other."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from darkroom.lora_files.training.file_name import read_option
from darkroom.record.rows import Row
from darkroom.request.request import Request
from darkroom.review.page.training_step import step_of

_STRENGTH = "network_multiplier"  # the axis; of one file of a stack: network_multiplier.NAME


@dataclass(frozen=True)
class Candidate:
    """A LoRA at a strength, or a base model without any. `lora`: the option's name, as on the sheet.

    `further`: the strengths of single files of a stack, as (axis, value).
    """

    model: str
    lora: str
    step: int | None  # of the training; None where neither a name nor a header says it
    strength: float | None  # of the whole stack; None without LoRA, which has none
    further: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, request: Request) -> "Candidate":
        strength = request.asked.network_multiplier if request.adapters.loras else None
        further = tuple(axis for axis in request.title.axes if axis[0].startswith(f"{_STRENGTH}."))
        step = step_of(request)
        return cls(request.title.model, request.title.lora, step, strength, further)

    def fits(self, key: str, said: object) -> bool:
        """Whether one of its fields is what somebody said; its LoRA is called by the run too, as on the page."""
        return said in ((self.lora, read_option(self.lora).run) if key == "lora" else (getattr(self, key),))

    @property
    def has_lora(self) -> bool:
        return self.strength is not None

    def __str__(self) -> str:
        strength = " (no LoRA)" if self.strength is None else f" at {self.strength:g}"
        return self.lora + strength + "".join(f", {name.partition('.')[2]} at {value}" for name, value in self.further)


def scene_of(request: Request) -> tuple[Any, ...]:
    """What two pictures have in common that differ in model, LoRA and strength alone: prompt, seed, further axes."""
    axes = tuple((name, value) for name, value in request.title.axes if name.split(".")[0] != _STRENGTH)
    return request.title.prompts, request.title.index, axes


def candidates_of(rows: Iterable[Row]) -> dict[Candidate, list[Row]]:
    """The rows of each: without LoRA first, then by step and strength."""
    found: dict[Candidate, list[Row]] = {}
    for row in rows:
        found.setdefault(Candidate.of(row.request), []).append(row)
    return dict(sorted(found.items(), key=lambda each: _order(each[0])))


def _order(candidate: Candidate) -> tuple[Any, ...]:
    step = -1 if candidate.step is None else candidate.step
    return candidate.model, candidate.has_lora, step, candidate.lora, candidate.strength or 0.0, str(candidate.further)
