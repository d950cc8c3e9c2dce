"""The sentences of a run in the terminal: what is planned, how far it is, what came of it in at most five lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from darkroom.display import counted, first_line
from darkroom.review.progress import RunProgress
from darkroom.telling.messages import FailedPictures, Planned

_REASONS = 2  # of pictures that failed, in the closing lines; the page has all


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """What came of a run that had something to do."""

    planned: Planned
    there: int  # pictures at the end
    rendered: int  # of them, in this run
    seconds: float
    page: Path | None  # None: the run made none, as with --until
    judged: str | None = None
    failed: Sequence[FailedPictures] = ()  # the most frequent first
    errors: Sequence[str] = ()  # of jobs that made no pictures

    @property
    def is_told(self) -> bool:
        """Whether it is known what became of the run, if not all went well."""
        return bool(self.judged or self.failed or self.errors)


def planned_line(planned: Planned) -> str:
    """demo: 60 pictures, 12 of them there; 5 combinations, 1 model"""
    asked, there = counted(planned.pictures, "picture"), ""
    if planned.there:
        there = ", all of them there" if planned.there == planned.pictures else f", {planned.there:,} of them there"
    of = f"{counted(planned.combinations, 'combination')}, {counted(planned.models, 'model')}"
    return f"{planned.experiment}: {asked}{there}; {of}"


def dry_line(planned: Planned) -> str:
    """After planned_line, where nothing was to be done but to look."""
    missing = planned.pictures - planned.there
    return f"-n: {counted(missing, 'picture')} would be rendered" if missing else "-n: nothing would be rendered"


def progress_line(planned: Planned, progress: RunProgress) -> str:
    """demo: 35 of 60 pictures, 0:41 left"""
    there = f"{len(progress.done):,} of {counted(planned.pictures, 'picture')}"
    return ", ".join([f"{planned.experiment}: {there}", *outlook(progress)])


def outlook(progress: RunProgress) -> list[str]:
    """What else there is to say than how many pictures there are: `1 failed`, `0:41 left`."""
    failed, left = len(progress.failed), progress.seconds_left
    return [*([f"{failed:,} failed"] if failed else []), *([f"{clock(left)} left"] if left else [])]


def stopped_line(planned: Planned, there: int, page: Path) -> str:
    """The last one of a run that was interrupted."""
    of = f"{there:,} of {counted(planned.pictures, 'picture')}"
    shown = f"; {page}" if page.is_file() else ""
    return f"{planned.experiment}: stopped at {of}; the next run goes on from there{shown}"


def closing_lines(outcome: RunOutcome) -> list[str]:
    """At most five."""
    planned, there = outcome.planned, counted(outcome.there, "picture")
    of = there if outcome.there == planned.pictures else f"{outcome.there:,} of {counted(planned.pictures, 'picture')}"
    made = f"{outcome.rendered:,} rendered, {outcome.there - outcome.rendered:,} kept"
    return [
        f"{planned.experiment}: {of} in {clock(outcome.seconds)}: {made}",
        *([outcome.judged] if outcome.judged else []),
        *_why(outcome),
        *([str(outcome.page)] if outcome.page else []),
    ]


def clock(seconds: float) -> str:
    """`0:41`, `1:02:03`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def _why(outcome: RunOutcome) -> Iterator[str]:
    """At most two lines."""
    said = [f"{counted(each.pictures, 'picture')} failed: {first_line(each.reason)}" for each in outcome.failed]
    said += [first_line(error) for error in outcome.errors]
    yield from said[: _REASONS if len(said) == _REASONS else 1]
    if len(said) > _REASONS:
        others = sum(each.pictures for each in outcome.failed[1:])
        yield f"{counted(others, 'picture')} failed for {counted(len(said) - 1, 'other reason')}: the page has them"
