"""How far a run is: which pictures are there, which came to nothing and why, and how long the others will take.

Seen from outside, in the files that jobs leave below results/, by whoever looks while they run.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from darkroom.errors import StoreError
from darkroom.files.atomic import read_json
from darkroom.job_errors import JobError, read_job_error
from darkroom.names import Names
from darkroom.planned import Contents, PlannedCombination
from darkroom.request.request import Request
from darkroom.store import ExperimentFolder

_NS = 1_000_000_000
_PAUSE = 1.0  # seconds between looks; longer where they take more than:
_SHARE = 0.05  # of the time


@dataclass(frozen=True)
class RunProgress:
    """Pictures by their place in the manifest, from 0. Seconds of wall time."""

    total: int
    done: frozenset[int]
    rendered: int  # of these, in this run
    failed: Mapping[int, str]  # and why
    seconds: float  # since the run began
    seconds_each: float | None  # a picture; None until two were rendered in this run
    seconds_left: float | None


@dataclass(frozen=True)
class _Picture:
    shown: Path  # in the experiment's folder
    stored: Path
    request_id: str


class Watch:
    """One run of an experiment. To be made once the run has written its table of contents.

    A look costs a few calls of the file system for each combination that is not done, and one for each of its pictures
    that is not there. `pause`: seconds to leave until the next one.
    """

    def __init__(self, folder: ExperimentFolder) -> None:
        """StoreError where there is no table of contents."""
        contents = Contents.read(folder.contents)
        began_ns = folder.contents.stat().st_mtime_ns
        self._began = began_ns / _NS
        self._combinations: list[_Combination] = []
        self._total, self.pause = 0, _PAUSE
        seen_at = _shown_at if contents.fresh else partial(_seen_at, began_ns=began_ns)
        for names, images, done in sorted(contents.combinations):
            places = range(self._total, self._total + images)
            self._combinations.append(_Combination(folder, names, places, began_ns, seen_at, is_done=images == done))
            self._total += images

    def look(self) -> RunProgress:
        """As it is now. StoreError for files of ours that are damaged."""
        began = time.monotonic()
        for combination in self._combinations:
            combination.look()
        self.pause = pause_after(time.monotonic() - began)
        now = time.time()
        done = frozenset(place for each in self._combinations for place in each.done)
        failed = {place: reason for each in self._combinations for place, reason in each.failed.items()}
        rendered = sorted(at for each in self._combinations for at in each.rendered)
        return RunProgress(
            total=self._total,
            done=done,
            rendered=len(rendered),
            failed=failed,
            seconds=now - self._began,
            seconds_each=pace(rendered),
            seconds_left=time_left(rendered, self._total - len(done) - len(failed), now),
        )


def pause_after(seconds: float) -> float:
    """Until the next look, after one that took so long: who watches a run takes little from it."""
    return max(_PAUSE, seconds / _SHARE)


def pace(rendered: Sequence[float]) -> float | None:
    """Seconds a picture, by the times at which pictures were rendered, sorted; None for fewer than two."""
    return None if len(rendered) < 2 else (rendered[-1] - rendered[0]) / (len(rendered) - 1)


def time_left(rendered: Sequence[float], left: int, now: float) -> float | None:
    """Seconds until `left` further pictures are there at the same pace, the first of them begun with the last one."""
    each = pace(rendered)
    if each is None or not left:
        return None if each is None else 0.0
    return each * left - min(each, max(0.0, now - rendered[-1]))


class _Combination:
    """What was last seen of one combination; `places`: of its pictures in the manifest."""

    def __init__(
        self,
        folder: ExperimentFolder,
        names: Names,
        places: range,
        began_ns: int,
        seen_at: Callable[[_Picture], float | None],
        *,
        is_done: bool,
    ) -> None:
        self._folder, self._names, self._places, self._began_ns = folder, names, places, began_ns
        self._seen_at = seen_at
        self._was_done = is_done
        self._planned_at: tuple[int | None, int | None] = (None, None)
        self._pictures: Sequence[_Picture] = ()
        self._seen: dict[int, float] = {}  # place → seconds of the epoch at which it came into the store
        self.failed: dict[int, str] = {}

    @property
    def done(self) -> Iterator[int]:
        return iter(self._places if self._was_done else self._seen)

    @property
    def rendered(self) -> Iterator[float]:
        """When each picture of this run was."""
        return (at for at in self._seen.values() if at >= self._began_ns / _NS)

    def look(self) -> None:
        if self._was_done:
            return
        of = (self._folder.requests(self._names), self._folder.checkpoint(self._names.model))
        planned_at = (_changed_at(of[0]), _changed_at(of[1]))
        if planned_at != self._planned_at:
            self._planned_at, self._seen = planned_at, {}
            self._pictures = _pictures(self._folder, self._names)
        for place, picture in zip(self._places, self._pictures, strict=False):
            if place not in self._seen and (at := self._seen_at(picture)) is not None:
                self._seen[place] = at
        self.failed = self._reasons() if len(self._seen) < len(self._places) else {}

    def _reasons(self) -> dict[int, str]:
        error = job_error(self._folder, self._names)
        if error is None:
            return {}
        ids = [picture.request_id for picture in self._pictures] or [""] * len(self._places)
        reasons = {place: error.pictures.get(each, error.text) for place, each in zip(self._places, ids, strict=True)}
        return {place: reason for place, reason in reasons.items() if place not in self._seen}


def in_order(requests: Sequence[Request]) -> list[Request]:
    """The requests of one combination in the order of the manifest's rows."""
    return sorted(requests, key=lambda request: (request.title.index, request.title.image_name))


def planned_now(folder: ExperimentFolder, names: Names) -> PlannedCombination | None:
    """The combination with the digests of its files; None until it is planned as conf/ asks in this run."""
    if not (folder.checkpoint(names.model).is_file() and folder.requests(names).is_file()):
        return None
    try:
        planned = PlannedCombination.read(folder.requests(names))
    except StoreError:  # of another version, or damaged: it was to be planned again
        return None
    return planned if planned.asked == read_json(folder.draft(names))["asked"] else None


def job_error(folder: ExperimentFolder, names: Names) -> JobError | None:
    """Of the first job on the way to a combination's pictures that left one."""
    logs = (
        folder.log("checkpoint", names.model),
        folder.log("plan", *names),
        folder.log("encode", names.model),
        folder.log("render", *names),
    )
    return next((error for log in logs if (error := read_job_error(log))), None)


def _pictures(folder: ExperimentFolder, names: Names) -> list[_Picture]:
    """In the order of the manifest; none where nothing is planned."""
    planned = planned_now(folder, names)
    if planned is None:
        return []
    store, output = folder.store, planned.output
    pictures = []
    for request in in_order(planned.requests):
        shown = folder.image(names, request.title.image_name, output["format"])
        stored = store.image(request.request_id, output["format"], output["quality"])
        pictures.append(_Picture(shown, stored, request.request_id))
    return pictures


def _seen_at(picture: _Picture, began_ns: int) -> float | None:
    """When a picture came into the store; None until it is the one that the experiment shows.

    What an earlier run shows under the name is the same file as the store's, or another picture.
    """
    try:
        shown = picture.shown.stat()
        stored = picture.stored.stat()
    except FileNotFoundError:
        return None
    is_same = (shown.st_dev, shown.st_ino) == (stored.st_dev, stored.st_ino)
    return stored.st_mtime if is_same or shown.st_ctime_ns >= began_ns else None


def _shown_at(picture: _Picture) -> float | None:
    """The same of a run that began without a picture and takes none from the store, in which it may find others."""
    try:
        return picture.shown.stat().st_mtime
    except FileNotFoundError:
        return None


def _changed_at(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
