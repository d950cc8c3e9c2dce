"""results/<experiment>/report.html while the run is at work: frames that fill as pictures come.

The page is written once, with empty frames. `live.js` beside it says again and again how far the run is; the page reads
it every two seconds by a script element, which browsers grant to a page that was opened as a file. When rule report has
put the finished page in its place, the page that is still open loads itself again.
Quick to import, since the Snakefile does.
"""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from darkroom.errors import DarkroomError
from darkroom.files.atomic import atomic
from darkroom.planned import Contents, PlannedCombination
from darkroom.request.request import Request
from darkroom.review.progress import RunProgress, Watch, in_order
from darkroom.store import ExperimentFolder
from darkroom.telling.messages import say

RUNNING, FINISHED, STOPPED = "running", "finished", "stopped"  # a run, as its page is told

_PULSE = 5.0  # seconds after which the page hears that the run is alive, though nothing has changed
_PATIENCE = 10.0  # seconds for a look that is under way when the run ends


class LivePage:
    """The page of one run. The run goes on without it where it cannot be written."""

    def __init__(self, folder: ExperimentFolder) -> None:
        self._folder = folder
        self._reporter: _Reporter | None = None
        self._page: tuple[int, int] | None = None  # the file that is ours

    def open(self) -> None:
        """Write it and keep it informed: before the first job of a run that will write manifest and page anew.

        `finished` goes first. Whatever ends the run, the next one then has a manifest to make, and from it the page.
        """
        script = _script(self._folder)
        try:
            self._folder.finished.unlink(missing_ok=True)
            reporter = _Reporter(self._folder)
            reporter.look(RUNNING)  # before the page is there, which would take an older run's news for its own
            write_live_page(self._folder, reporter.run_id)
        except (DarkroomError, OSError) as error:
            say(f"{error}; so the page comes at the end of the run")
            script.unlink(missing_ok=True)
            return
        self._page = _identity(self._folder.report)
        self._reporter = reporter
        reporter.start()

    @property
    def stands(self) -> bool:
        """True where the page is still that of the run at work: nothing has taken its place."""
        return self._page is not None and _identity(self._folder.report) == self._page

    def close(self) -> None:
        """The run is over: the page hears how it ended."""
        if self._reporter is not None:
            is_replaced = _identity(self._folder.report) not in (None, self._page)
            self._reporter.finish(FINISHED if is_replaced else STOPPED)


class _Reporter(threading.Thread):
    """Looks how far the run is and writes live.js, until it is told how the run ended, or with the process."""

    def __init__(self, folder: ExperimentFolder) -> None:
        super().__init__(name="live page", daemon=True)
        self.run_id = str(folder.contents.stat().st_mtime_ns)
        self._script = _script(folder)
        self._watch = Watch(folder)
        self._over = threading.Event()
        self._told: object = None
        self._told_at = 0.0
        self._fault = ""

    def run(self) -> None:
        while not self._over.wait(self._watch.pause):
            self._look_or_say(RUNNING)

    def finish(self, state: str) -> None:
        self._over.set()
        self.join(_PATIENCE)
        self._look_or_say(state)

    def look(self, state: str) -> None:
        """StoreError where live.js cannot be written, or a file that jobs left cannot be read."""
        progress = self._watch.look()
        news = (state, progress.done, progress.failed)
        if news == self._told and time.monotonic() - self._told_at < _PULSE:
            return
        with atomic(self._script, durable=False) as temporary:
            temporary.write_text(script_of(progress, self.run_id, state, time.time()), encoding="utf-8")
        self._told, self._told_at = news, time.monotonic()

    def _look_or_say(self, state: str) -> None:
        try:
            self.look(state)
        except (DarkroomError, OSError) as error:
            if str(error) != self._fault:  # each once, as long as no other comes between
                say(f"{error}; the page waits for news, the run goes on")
            self._fault = str(error)


def script_of(progress: RunProgress, run_id: str, state: str, now: float) -> str:
    """live.js: a call of the page's `hear`. `now`: seconds of the epoch.

    `pictures` has a letter for each, in the order of the page: # is there, x failed, . neither.
    """
    letters = ("#" if n in progress.done else "x" if n in progress.failed else "." for n in range(progress.total))
    reasons: dict[str, list[int]] = {}
    for place, reason in progress.failed.items():
        reasons.setdefault(reason, []).append(place)
    news = {
        "run": run_id,
        "state": state,
        "at": now,
        "seconds": progress.seconds,
        "seconds_left": progress.seconds_left,
        "pictures": "".join(letters),
        "reasons": list(reasons.items()),
    }
    return f"hear({json.dumps(news)});\n"


def write_live_page(folder: ExperimentFolder, run_id: str) -> None:
    """The contact sheet of what is asked for, an empty frame for each picture. `run_id`: whose news it waits for.

    StoreError where a draft is missing, or the page cannot be written.
    """
    # Here, since a Snakefile is parsed more often than a run begins.
    from darkroom.record.rows import NOT_RENDERED, Failure
    from darkroom.review.page.page import link_from, write_page
    from darkroom.review.sheet.page_values import NO_THUMBNAILS, TEMPLATE, page_values

    asked = list(_asked(folder))
    rows = [Failure.of(request, "not rendered yet", NOT_RENDERED) for request, _ in asked]
    rows = [replace(row, request_id="") for row in rows]  # it is known once the digests of all files are
    links = [link_from(folder.root, path) for _, path in asked]
    write_page(folder.report, TEMPLATE, page_values(rows, links, NO_THUMBNAILS, run_id))


def _asked(folder: ExperimentFolder) -> Iterator[tuple[Request, Path]]:
    """Each picture and where it will be, in the order of the manifest."""
    for names, *_ in sorted(Contents.read(folder.contents).combinations):
        draft = PlannedCombination.read(folder.draft(names))
        for request in in_order(draft.requests):
            yield request, folder.image(names, request.title.image_name, draft.output["format"])


def _script(folder: ExperimentFolder) -> Path:
    return folder.root / "live.js"


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns
