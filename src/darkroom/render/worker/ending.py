"""What SIGTERM does, which a cluster sends when a job is out of time: the picture in hand is written first."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from darkroom.render.worker.channel import Channel
from darkroom.render.worker.message import Stop


class Ending:
    """While a job is done, SIGTERM ends this process once the picture in hand is written; a second one at once.

    So does the first where there is no job. `at_end` is called before. To be made in the main thread.
    """

    def __init__(self, at_end: Callable[[], None]) -> None:
        self._at_end = at_end
        self._is_at_work, self.is_told = False, False
        self._is_over = threading.Event()
        signal.signal(signal.SIGTERM, self._told)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """A job is done within; who was told meanwhile ends after it."""
        self._is_at_work = True
        try:
            yield
        finally:
            self._is_at_work = False
            self._is_over.set()
        if self.is_told:
            self._leave()

    def wait(self, seconds: float) -> None:
        """Where the end has been told of: until it has come, in another thread."""
        if self.is_told:
            self._is_over.wait(seconds)

    def _told(self, number: int, frame: FrameType | None) -> None:
        if self.is_told or not self._is_at_work:
            self._leave()
        self._is_over.clear()
        self.is_told = True

    def _leave(self) -> None:
        self._at_end()
        os._exit(0)


@contextlib.contextmanager
def passing_on_sigterm(worker: Channel, told: Callable[[], None]) -> Iterator[None]:
    """SIGTERM within has the worker finish the picture in hand, and answer; a second one ends this process at once."""

    def pass_on(number: int, frame: FrameType | None) -> None:
        told()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it is ending already
            worker.send(Stop())

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
