"""Where a run is shown: a bar on a terminal, a line now and then elsewhere, and sentences above it."""

import sys
import time
from typing import Any

from tqdm import tqdm

from darkroom.review.progress import RunProgress
from darkroom.telling.messages import Planned
from darkroom.terminal.words import outlook, progress_line

_INTERVAL = 30.0  # seconds between lines where there is no terminal
_BAR = "{percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} pictures, {elapsed}{postfix}"


class Screen:
    """Progress and warnings on stderr, what came of the run on stdout."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._planned: Planned | None = None
        self._shown_at = 0.0
        self._said: set[str] = set()

    def say(self, text: str) -> None:
        """A sentence, once."""
        if text not in self._said:
            self._said.add(text)
            tqdm.write(text, file=sys.stderr)
            sys.stderr.flush()

    def begin(self, planned: Planned) -> None:
        self._planned, self._shown_at = planned, time.monotonic()
        if sys.stderr.isatty():
            total, there = planned.pictures, planned.there
            self._bar = tqdm(total=total, initial=there, bar_format=_BAR, leave=False, dynamic_ncols=True)

    def show(self, progress: RunProgress) -> None:
        """How far the run is by now."""
        assert self._planned is not None
        if self._bar is not None:
            self._bar.n = len(progress.done)
            self._bar.set_postfix_str(", ".join(outlook(progress)))
        elif time.monotonic() - self._shown_at >= _INTERVAL:
            self._shown_at = time.monotonic()
            self.say(progress_line(self._planned, progress))

    def close(self, *lines: str) -> None:
        """What stays: the bar goes, the lines are said."""
        if self._bar is not None:
            self._bar.close()
        for line in lines:
            print(line, flush=True)
