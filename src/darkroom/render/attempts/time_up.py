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

    def expect(self, seconds_each: float | None) -> None:
        """That a picture takes so long, from now on; None where nobody knows better than before."""
        if self._ends is not None and seconds_each is not None:
            until = self._ends - time.monotonic() - _SPARE - _PICTURES * seconds_each
            signal.setitimer(signal.ITIMER_REAL, max(until, 0.001))


@contextmanager
def in_time(left: float | None, seconds_each: float) -> Iterator[TimeUp]:
    """SIGTERM within comes in time, whoever sends it: it raises StoppedError unless somebody else takes it.

    In the main thread. `left`: seconds until the limit; `seconds_each`: what a picture is expected to take.
    """
    before = {
        signal.SIGALRM: signal.signal(signal.SIGALRM, lambda number, frame: os.kill(os.getpid(), signal.SIGTERM)),
        signal.SIGTERM: signal.signal(signal.SIGTERM, _stop),
    }
    try:
        time_up = TimeUp(left)
        time_up.expect(seconds_each)
        yield time_up
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    raise StoppedError("told to end between two combinations: what is left is left for another attempt")
