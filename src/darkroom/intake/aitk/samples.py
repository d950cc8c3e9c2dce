"""The sample files of an ai-toolkit job, by their names, and in which sets they were made.

`<ms since 1970>__<step, 9 digits>_<index of the prompt>.jpg`, which is when it was saved; hidden folders beside them
are the trainer's own.
"""

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_NAME = re.compile(r"(?P<ms>[0-9]{1,14})__(?P<step>[0-9]{9,12})_(?P<index>[0-9]{1,6})\.(?:jpg|jpeg|png|webp)")
_MINUTE = 60_000  # ms


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

    def fits(self, count: int) -> bool:
        """Can it be of a section with that many prompts?"""
        return self.files[-1].index < count


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


def are_copied(files: Sequence[SampleFile]) -> bool:
    """True if the files' times are those of a copy: most are not what their names say, to the minute."""
    moved = sum(abs(file.path.stat().st_mtime_ns // 1_000_000 - file.ms) > _MINUTE for file in files)
    return 2 * moved > len(files)


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


@dataclass(frozen=True)
class Attribution:
    """Which section made a set of step 0."""

    is_first: bool  # first_sample, or else the baseline of sample
    is_certain: bool


def first_sets(sets: Sequence[SampleSet], first_count: int, then_count: int) -> list[Attribution]:
    """Of each set of step 0, in the order of time, the section that made it.

    Each start makes one of `first_sample`, with `first_count` pictures, then the baseline with `then_count`, of which 0
    is none. A start may have been cut short, and pictures may be lost since. What tells: an index that only one section
    has, and that the baseline follows a whole set of `first_sample`; but after a set in doubt, a whole one may as well
    be the baseline that belongs to it.
    """
    if not then_count:
        return [Attribution(is_first=True, is_certain=True)] * len(sets)
    found: list[Attribution] = []
    in_doubt = False
    while len(found) < len(sets):
        here, *after = sets[len(found) : len(found) + 2]
        maybe_first, maybe_then = here.fits(first_count), here.fits(then_count)
        if maybe_first and after and after[0].fits(then_count):
            is_whole = len(here.files) == first_count
            if not after[0].fits(first_count) or (is_whole and not in_doubt):
                found += [Attribution(is_first=True, is_certain=True), Attribution(is_first=False, is_certain=True)]
                in_doubt = False
                continue
        found.append(Attribution(maybe_first, is_certain=maybe_first and not maybe_then))
        in_doubt = maybe_first
    return found


def _listed(folder: Path) -> Iterator[tuple[str, bool]]:
    if folder.is_dir():
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    yield entry.name, entry.is_file()
