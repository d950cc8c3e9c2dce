"""Ends an attempt while the picture in hand can still be finished: by SIGTERM to its own process, before a limit."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from darkroom.errors import StoppedError

_SPARE = 30.0  # seconds, for what is written last, and for a cluster to take the job back
_PICTURES = 2.0  # that the time of one is reckoned with


class TimeUp:
    """When that is; within the `with` block of `in_time`."""

    def __init__(self, left: float | None) -> None:
        """`left`: seconds; None without a limit."""
        self._ends = None if left is None else time.monotonic() + left
        self.is_told = False  # to end, by whomever

    def expect(self, seconds_each: float | None) -> None:
        """That a picture takes so long, from now on; None where nobody knows better than before."""
        if self._ends is not None and seconds_each is not None and not self.is_told:
            until = self._ends - time.monotonic() - _SPARE - _PICTURES * seconds_each
            signal.setitimer(signal.ITIMER_REAL, max(until, 0.001))

    def tell(self) -> None:
        """That SIGTERM has come: no other follows of itself, since a second one ends the process at once."""
        self.is_told = True
        signal.setitimer(signal.ITIMER_REAL, 0)

    def check(self) -> None:
        """Between two combinations: StoppedError once it was told."""
        if self.is_told:
            raise StoppedError("told to end between two combinations: what is left is left for another attempt")

    def on_alarm(self, number: int, frame: FrameType | None) -> None:
        if not self.is_told:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_sigterm(self, number: int, frame: FrameType | None) -> None:
        self.tell()
        self.check()


@contextmanager
def in_time(left: float | None, seconds_each: float) -> Iterator[TimeUp]:
    """SIGTERM within comes in time, whoever sends it: it raises StoppedError unless somebody else takes it, and tells.

    In the main thread. `left`: seconds until the limit; `seconds_each`: what a picture is expected to take.
    """
    time_up = TimeUp(left)
    before = {
        signal.SIGALRM: signal.signal(signal.SIGALRM, time_up.on_alarm),
        signal.SIGTERM: signal.signal(signal.SIGTERM, time_up.on_sigterm),
    }
    try:
        time_up.expect(seconds_each)
        yield time_up
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
