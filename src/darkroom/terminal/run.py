"""`darkroom run` and `darkroom regress`: one line of Snakemake, as a person sees it.

1. the words → a line of Snakemake        line.py
2. Snakemake at work                      snakemake.py
3. what it tells, and how far it is       screen.py
4. what came of it                        words.py
"""

import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from darkroom.errors import ConfigError, DarkroomError, StoreError, value_of
from darkroom.filesystem.shared import share_with_group
from darkroom.job_errors import read_job_error
from darkroom.plan.conf.folders import CONF_DIRS, existing_folders, home
from darkroom.review.progress import Watch
from darkroom.store import RESULTS, ExperimentFolder, check_writable
from darkroom.telling.messages import Began, FailedPictures, JobFailed, Judged, Message, Planned, Refused, Said
from darkroom.terminal.line import TypedRun, read_words, snakemake_line
from darkroom.terminal.screen import Screen
from darkroom.terminal.snakemake import Snakemake
from darkroom.terminal.words import RunOutcome, closing_lines, dry_line, planned_line, stopped_line

_MOMENT = 0.2  # seconds between looks at what is told


def run(
    words: Sequence[str],
    *,
    target: str | None = None,
    name: str | None = None,
    fresh: bool = False,
    verbose: bool = False,
) -> int:
    """Run what was typed, and say what came of it; the exit status.

    `target`: of Snakemake, if not the experiment's pictures and page; `name`: of a variant; `fresh`: everything is
    rendered anew; `verbose`: Snakemake's own output instead. ConfigError for words that make no sense, StoreError where
    Snakemake could not begin.
    """
    wish = value_of(read_words(words))
    if wish.experiment is None:
        raise ConfigError(f"which experiment? There are {', '.join(_experiments())}")
    _check_cache()
    share_with_group(Path())
    line = snakemake_line(wish, target, name, fresh=fresh)
    if verbose:
        print(shlex.join(line), file=sys.stderr, flush=True)
        os.execv(line[0], line)
    with Snakemake(line) as process:
        return _Watched(process, wish).status()


def _check_cache() -> None:
    """Snakemake makes a folder for it before it reads anything, and says of one that cannot be made where it was."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or home() / ".cache")
    try:
        check_writable(folder)
    except StoreError as error:
        said = "Snakemake keeps its cache there: set XDG_CACHE_HOME to another folder"
        raise StoreError(f"{error}; {said}") from error


def _experiments() -> list[str]:
    return existing_folders(CONF_DIRS).names("experiment")


class _Watched:
    """A run on the screen."""

    def __init__(self, process: Snakemake, wish: TypedRun) -> None:
        self._process, self._is_dry_run = process, wish.is_dry_run
        self._screen, self._started = Screen(), time.monotonic()
        # What was told so far
        self._planned: Planned | None = None
        self._watch: Watch | None = None  # once it has begun
        self._look_at = 0.0  # not before
        self._refused = False
        self._judged: str | None = None
        self._failed: list[FailedPictures] = []
        self._unwritten: list[str] = []  # why jobs came to nothing, where no file says it

    def status(self) -> int:
        """The exit status, once the run is over and it is said what came of it."""
        while self._process.goes_on(_MOMENT):
            self._hear()
            self._look()
        self._hear()
        self._screen.close(*self._last_lines())
        return self._process.status

    def _hear(self) -> None:
        for message in self._process.told():
            self._take(message)

    def _take(self, message: Message) -> None:
        match message:
            case Planned():
                self._planned = message
                self._screen.say(planned_line(message))
            case Began():
                assert self._planned is not None
                self._process.log_to(self._folder.logs / "snakemake.log")
                self._watch = Watch(self._folder)
                self._screen.begin(self._planned)
            case Said():
                self._screen.say(message.text)
            case Refused():
                self._refused = True
                self._screen.say(f"darkroom: {message.text}")
            case Judged():
                self._judged = message.text
            case FailedPictures():
                self._failed.append(message)
            case JobFailed():
                self._unwritten.append(message.reason)

    def _look(self) -> None:
        """How far it is, where it is time for that."""
        if self._watch is None or time.monotonic() < self._look_at:
            return
        try:
            self._screen.show(self._watch.look())
        except DarkroomError as error:  # no reason to end a run that goes on
            self._screen.say(f"darkroom: {error}")
        self._look_at = time.monotonic() + self._watch.pause

    @property
    def _folder(self) -> ExperimentFolder:
        assert self._planned is not None
        return ExperimentFolder(RESULTS / self._planned.experiment)

    def _last_lines(self) -> list[str]:
        process, planned = self._process, self._planned
        if self._refused:
            return []
        if planned is None:
            return ["stopped"] if process.stopped_by else self._words_of_snakemake()
        if self._watch is None:
            return self._unbegun(planned)
        if process.stopped_by:
            return [stopped_line(planned, len(self._watch.look().done), self._folder.report)]
        outcome = self._outcome(planned, self._watch)
        unknown = self._words_of_snakemake() if process.status and not outcome.is_told else []
        return [*closing_lines(outcome), *unknown, *process.log_lacks]

    def _unbegun(self, planned: Planned) -> list[str]:
        """Of a run that had no job to do."""
        if self._process.stopped_by:
            return [stopped_line(planned, planned.there, self._folder.report)]
        if self._process.status:
            return self._words_of_snakemake()
        if self._is_dry_run:
            return [dry_line(planned)]
        if asked_for := self._process.printed.decode(errors="replace").rstrip():  # by an option such as --summary
            return [asked_for]
        if planned.there < planned.pictures or not self._folder.report.is_file():  # by one such as --delete-all-output
            return self._words_of_snakemake()
        return [f"nothing to do; {self._folder.report}"]

    def _outcome(self, planned: Planned, watch: Watch) -> RunOutcome:
        folder, progress = self._folder, watch.look()
        page = folder.root / "regress.html" if self._judged else folder.report
        errors = [read_job_error(path) for path in sorted(folder.logs.glob("*.json"))]
        return RunOutcome(
            planned=planned,
            there=len(progress.done),
            rendered=progress.rendered,
            seconds=time.monotonic() - self._started,
            page=page if page.is_file() else None,
            judged=self._judged,
            failed=self._failed,
            errors=[*(error.text for error in errors if error), *self._unwritten[:1]],
        )

    def _words_of_snakemake(self) -> list[str]:
        return [f"Snakemake ended with status {self._process.status}; its last words:", self._process.last_words()]
