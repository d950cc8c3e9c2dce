"""The worker's end of two streams: for a worker that was started elsewhere, by `srun`, `ssh` or `kubectl run -i`.

A thread reads what comes: the other end is gone once the stream ends, or has said nothing for as long as a lease lasts.
"""

import contextlib
import os
import queue
import threading
from collections.abc import Callable
from typing import NoReturn

from darkroom.errors import WorkerError
from darkroom.render.worker.channel import Channel, Streams
from darkroom.render.worker.door import Caller, say
from darkroom.render.worker.message import Leave, Message, Renew, Stop

LEASE = 120.0  # seconds; a network that fails for less ends no worker
RENEWED = 10.0  # seconds from one renewal to the next


class Line:
    """One client at the other end, who asks for one thing after the other. `at_end` is called before this process ends.

    What the client says meanwhile, Stop or Leave, is of the job in hand.
    """

    def __init__(self, incoming: int, outgoing: int, at_end: Callable[[], None], lease: float = LEASE) -> None:
        self._channel = Channel(Streams(incoming, outgoing))
        self._at_end, self._lease = at_end, lease
        self._asked: queue.Queue[Message] = queue.Queue()
        self._said: Message | None = None
        self.send = self._channel.send
        threading.Thread(target=self._hear, daemon=True).start()

    def next_caller(self) -> Caller:
        """Waits until something is asked for."""
        return Caller(contextlib.nullcontext(), self, self._asked.get())

    def close(self) -> None:
        """Whoever started this process sees that it has ended."""

    def arrived(self) -> Message | None:
        return self._said

    def is_closed(self) -> bool:
        """Whether nobody waits for the job any more."""
        return isinstance(self._said, Leave)

    def _hear(self) -> None:
        while True:
            try:
                message = self._channel.receive(self._lease)
            except (WorkerError, OSError) as error:
                self._end(f"nothing more can be heard: {error}")
            match message:
                case None:
                    self._end("the other end is gone")
                case Renew():
                    continue
                case Stop() | Leave():
                    self._said = message
                case _:
                    self._said = None
                    self._asked.put(message)

    def _end(self, why: str) -> NoReturn:
        try:
            self._at_end()
            say(f"{why}, so worker {os.getpid()} ends")
        finally:  # whoever listened may be gone as well
            os._exit(0)
