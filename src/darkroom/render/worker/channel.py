"""One end of a connection between client and worker: whole messages in and out, none longer than it may be."""

import math
import os
import select
import threading
import time
from typing import Protocol

from darkroom.errors import WorkerError
from darkroom.render.worker.message import LONGEST, Message, decode, encode

_LOOK = 1.0  # seconds at most in one wait: a signal that came just before it began is handled behind it


class Connection(Protocol):
    """What a connected socket is, and two streams together are."""

    def fileno(self) -> int: ...

    def recv(self, most: int, /) -> bytes: ...

    def sendall(self, content: bytes, /) -> None: ...


class Client(Protocol):
    """Whoever is at the other end, as whoever serves them sees it."""

    def send(self, message: Message) -> None: ...

    def arrived(self) -> Message | None: ...

    def is_closed(self) -> bool: ...


class Streams:
    """Two streams as one connection: what comes in by `incoming`, and goes out by `outgoing` (file descriptors)."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._incoming, self._outgoing, self._sending = incoming, outgoing, threading.Lock()

    def fileno(self) -> int:
        return self._incoming

    def recv(self, most: int, /) -> bytes:
        return os.read(self._incoming, most)

    def sendall(self, content: bytes, /) -> None:
        with self._sending:  # one message after the other
            while content:
                content = content[os.write(self._outgoing, content) :]


class Channel:
    """Sends and receives on a connection, which others open and close."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._received = b""  # and not yet returned
        self._has_ended = False
        self.was_heard = False  # anything at all

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
            while not self._is_readable(_LOOK if ends is None else min(max(ends - time.monotonic(), 0), _LOOK)):
                if ends is not None and time.monotonic() >= ends:
                    raise WorkerError(f"message: expected a whole one within {seconds:g} seconds")
            self._read()
            if self._has_ended:
                return None
        line, _, self._received = self._received.partition(b"\n")
        if len(line) > LONGEST:
            raise WorkerError(f"message: expected at most {LONGEST} bytes before the end of its line, got more")
        return decode(line)

    def arrived(self) -> Message | None:
        """The next message if it is here already; errors as for `receive`."""
        self._read_what_is_here()
        return self.receive() if b"\n" in self._received else None

    def is_closed(self) -> bool:
        """True once the other end is gone and all whole messages that it sent were received."""
        self._read_what_is_here()
        return self._has_ended and b"\n" not in self._received

    def _read_what_is_here(self) -> None:
        while not self._has_ended and len(self._received) <= LONGEST and self._is_readable(0):
            self._read()

    def _read(self) -> None:
        part = self._connection.recv(65536)
        self._received += part
        self.was_heard = self.was_heard or bool(part)
        self._has_ended = not part

    def _is_readable(self, seconds: float) -> bool:
        looking = select.poll()  # select itself knows no descriptor above 1023
        looking.register(self._connection, select.POLLIN)
        return bool(looking.poll(math.ceil(1000 * seconds)))
