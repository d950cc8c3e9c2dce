"""Sheets of pictures that are rendered to learn something: one thing done otherwise, the same again, nudged repeats.

`explain --try` (plan), `regress` and `floor` (review) write a sheet of trials, have it rendered (render), and read what
came of it (review); the rooms meet in these two JSON files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from darkroom.files.atomic import read_json, write_json
from darkroom.request.request import Request

# Folders of an experiment: what explain --try and floor have rendered, and more repeats where floor's leave a doubt.
TRIAL_FOLDERS = (EXPLAIN, FLOOR, CLOSER) = ("explain", "floor", "closer")
SHEET, OUTCOMES = "trials.json", "outcomes.json"  # side by side


def sheet_of(experiment: Path, model: str, look: str = FLOOR) -> Path:
    """Where the sheet of a model's nudged repeats lies, beside what comes of it. `look`: FLOOR or CLOSER."""
    return experiment / look / model / SHEET


@dataclass(frozen=True)
class Trial:
    """One picture to render. `factor`: what is done otherwise, in a few words."""

    factor: str
    request: Request
    change: str = ""  # what to write in conf/ to have it so for good; "" where conf/ says so
    is_baseline: bool = False  # nothing is done otherwise, and the preview's size is had: gains are measured from it


@dataclass(frozen=True, kw_only=True)
class TrialSheet:
    """Trials on one base model, and how their pictures are written: as the preview that they are compared with."""

    name: str  # for the progress line
    checkpoint: str  # path of the checkpoint's JSON
    image_format: str
    quality: int
    threads: int  # of torch within one operation, as the render had: on a CPU another number rounds otherwise
    trials: tuple[Trial, ...]
    repeats: int = 0  # of each picture, nudged: as other machines might round it
    not_tried: tuple[str, ...] = ()  # sentences: what might be it, and cannot be tried
    image: str | None = None  # the render that is to be explained
    preview: str | None = None  # the stored picture that it is compared with

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Self:
        """StoreError when it is missing or unreadable."""
        values = read_json(path)
        trials = [Trial(**{**each, "request": Request.from_json(each["request"])}) for each in values["trials"]]
        return cls(**{**values, "trials": tuple(trials), "not_tried": tuple(values["not_tried"])})


@dataclass(frozen=True)
class Outcome:
    """What came of a trial: a picture, or the reason why there is none."""

    factor: str
    change: str
    request_id: str
    image: str | None = None
    error: str | None = None
    is_baseline: bool = False
    repeats: tuple[str, ...] = ()  # PNG files of its nudged repeats


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """A sheet, rendered: in the order of its trials."""

    outcomes: tuple[Outcome, ...]
    not_tried: tuple[str, ...]
    image: str | None
    preview: str | None

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Self:
        """StoreError when it is missing or unreadable."""
        values: Mapping[str, Any] = read_json(path)
        outcomes = tuple(Outcome(**{**each, "repeats": tuple(each["repeats"])}) for each in values["outcomes"])
        return cls(**{**values, "outcomes": outcomes, "not_tried": tuple(values["not_tried"])})


def outcomes_of(sheet: TrialSheet, outcomes: Iterable[Outcome]) -> Outcomes:
    """What came of the sheet's trials, with what else it says."""
    return Outcomes(outcomes=tuple(outcomes), not_tried=sheet.not_tried, image=sheet.image, preview=sheet.preview)
