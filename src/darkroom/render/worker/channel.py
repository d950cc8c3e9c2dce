"""One end of a connection between client and worker: whole messages in and out, none longer than it may be."""

import select
import socket
import time

from darkroom.errors import WorkerError
from darkroom.render.worker.message import LONGEST, Message, decode, encode


class Channel:
    """Sends and receives on a connected socket, which others open and close."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""  # and not yet returned

    def send(self, message: Message) -> None:
        """Waits while the other end does not read, no longer than the socket's time limit, if it has one.

        BrokenPipeError or ConnectionResetError when the other end is gone, or has not read within that time.
        """
        try:
            self._connection.sendall(encode(message))
        except TimeoutError as error:
            raise BrokenPipeError("the other end does not read") from error

    def receive(self, seconds: float | None = None) -> Message | None:
        """The next message, None when the other end closes before a whole one.

        WorkerError for what is no message, is longer than LONGEST, or is not whole within `seconds`.
        """
        ends = None if seconds is None else time.monotonic() + seconds
        while b"\n" not in self._received and len(self._received) <= LONGEST:
            if ends is not None and not self._is_readable(max(ends - time.monotonic(), 0)):
                raise WorkerError(f"message: expected a whole one within {seconds:g} seconds")
            part = self._connection.recv(65536)
            if not part:
                return None
            self._received += part
        line, _, self._received = self._received.partition(b"\n")
        if len(line) > LONGEST:
            raise WorkerError(f"message: expected at most {LONGEST} bytes before the end of its line, got more")
        return decode(line)

    def is_closed(self) -> bool:
        """True once the other end is gone and all that it sent was received."""
        return self._is_readable(0) and not self._connection.recv(1, socket.MSG_PEEK)

    def _is_readable(self, seconds: float) -> bool:
        return bool(select.select([self._connection], [], [], seconds)[0])
