"""The sample files of an ai-toolkit job, by their names, and in which sets they were made. Knows not what they show.

`<ms since 1970>__<step, 9 digits>_<index of the prompt>.jpg`; hidden folders beside them are the trainer's own.
"""

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_NAME = re.compile(r"(?P<ms>[0-9]{1,14})__(?P<step>[0-9]{9,12})_(?P<index>[0-9]{1,6})\.(?:jpg|jpeg|png|webp)")


@dataclass(frozen=True, order=True)
class SampleFile:
    """One picture, by its name."""

    step: int
    ms: int  # when it was saved, since 1970
    index: int  # of the prompt
    path: Path

    @property
    def made_at(self) -> str:
        """ISO 8601, UTC, to the second."""
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self.ms)).isoformat(timespec="seconds")


@dataclass(frozen=True)
class SampleSet:
    """The pictures of one step that were made in one go: each index once at most, in order."""

    step: int
    files: tuple[SampleFile, ...]

    @property
    def begun(self) -> int:
        """When its first picture was saved, ms since 1970."""
        return self.files[0].ms


def read_name(name: str) -> tuple[int, int, int] | None:
    """(ms, step, index), or None for a name that the trainer gives to no sample."""
    found = _NAME.fullmatch(name)
    return (int(found["ms"]), int(found["step"]), int(found["index"])) if found else None


def sample_files(folder: Path) -> tuple[list[SampleFile], list[Path]]:
    """The samples of a folder, which need not exist, and what else is in it; hidden names are passed over."""
    samples, others = [], []
    for name, is_file in _listed(folder):
        read = read_name(name) if is_file else None
        if read:
            ms, step, index = read
            samples.append(SampleFile(step, ms, index, folder / name))
        else:
            others.append(folder / name)
    return sorted(samples), sorted(others)


def sample_sets(files: Iterable[SampleFile]) -> list[SampleSet]:
    """By step, then by time. A set ends where the index does not grow: what follows was made after a restart."""
    sets = []
    for step, of_step in itertools.groupby(sorted(files), key=lambda file: file.step):
        run: list[SampleFile] = []
        for file in of_step:
            if run and file.index <= run[-1].index:
                sets.append(SampleSet(step, tuple(run)))
                run = []
            run.append(file)
        sets.append(SampleSet(step, tuple(run)))
    return sets


def first_sets(sets: Sequence[SampleSet], first_count: int, then_baseline: bool) -> list[bool]:
    """Of the sets of step 0 in the order of time: is it of `first_sample`?

    Each start makes one of `first_sample`, with `first_count` pictures, then one of `sample` if `then_baseline`. A set
    that is not whole was the last of its start.
    """
    found: list[bool] = []
    for number in range(len(sets)):
        before = number - 1
        follows = then_baseline and before >= 0 and found[before] and len(sets[before].files) >= first_count
        found.append(not follows)
    return found


def _listed(folder: Path) -> Iterator[tuple[str, bool]]:
    if folder.is_dir():
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    yield entry.name, entry.is_file()
