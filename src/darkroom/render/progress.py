"""How far an experiment is while one of its combinations is rendered, and the line that says so."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from darkroom.names import Names
from darkroom.planned import Contents
from darkroom.store import ExperimentFolder

_BAR = 24  # characters
_PLAIN_INTERVAL = 10.0  # seconds between lines where there is no terminal


@dataclass(frozen=True)
class Progress:
    """Images done of an experiment's total; seconds_per_image is None until one was rendered in this run."""

    experiment: str
    combination: str
    done: int
    total: int
    seconds_per_image: float | None

    @property
    def eta_seconds(self) -> float | None:
        return None if self.seconds_per_image is None else self.seconds_per_image * (self.total - self.done)

    def line(self) -> str:
        """demo  12/40 images · 0.31 s/image · ETA 0:00:09 · demo / demo_lora / portraits"""
        pace = "" if self.seconds_per_image is None else f" · {self.seconds_per_image:.2f} s/image"
        eta = "" if self.eta_seconds is None else f" · ETA {_clock(self.eta_seconds)}"
        return f"{self.experiment}  {self.done}/{self.total} images{pace}{eta} · {self.combination}"

    def bar(self) -> str:
        filled = round(_BAR * self.done / self.total) if self.total else _BAR
        return f"[{'#' * filled}{'.' * (_BAR - filled)}] {self.line()}"


class Pace:
    """Counts rendered images over the life of a worker, from when its first image was begun."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._rendered = 0

    def begin(self) -> None:
        if self._started is None:
            self._started = time.monotonic()

    def count(self) -> None:
        self._rendered += 1

    @property
    def rendered(self) -> int:
        return self._rendered

    @property
    def seconds_per_image(self) -> float | None:
        if self._started is None or not self._rendered:
            return None
        return (time.monotonic() - self._started) / self._rendered


def images_elsewhere(folder: ExperimentFolder, names: Names) -> tuple[int, int]:
    """(images done in all other combinations, images of the whole experiment).

    The table of contents, written when the run began, says how many were done then; a combination whose records are
    younger was finished since.
    """
    contents = Contents.read(folder.contents).combinations
    began = folder.contents.stat().st_mtime_ns
    done = 0
    for each in contents:
        if each.names != names:
            done += each.images if _is_younger(folder.records(each.names), began) else each.done
    return done, sum(each.images for each in contents)


class ProgressLine:
    """Shows progress on a stream: one line rewritten in a terminal, a plain line now and then elsewhere."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._shown_at = float("-inf")
        self._latest: Progress | None = None
        self._written: Progress | None = None

    def show(self, progress: Progress) -> None:
        self._latest = progress
        if self._terminal:
            self._write(f"\r\x1b[2K{progress.bar()}")
        elif time.monotonic() - self._shown_at >= _PLAIN_INTERVAL:
            self._plain(progress)

    def close(self) -> None:
        """Leave the last state standing on a line of its own."""
        if self._latest is not None and self._terminal:
            self._write("\n")
        elif self._latest is not None and self._latest != self._written:
            self._plain(self._latest)

    def _plain(self, progress: Progress) -> None:
        self._shown_at, self._written = time.monotonic(), progress
        self._write(f"{progress.line()}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _is_younger(path: Path, time_ns: int) -> bool:
    return path.is_file() and path.stat().st_mtime_ns > time_ns


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}"
