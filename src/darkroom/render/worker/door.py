"""The worker's door: this user's processes alone come in, all are heard at once, and whoever has asked whole is next.

A thread takes connections and one each hears them, so that a silent one holds up nobody.
"""

import contextlib
import queue
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from darkroom.display import LINES, printable
from darkroom.errors import WorkerError
from darkroom.render.worker.channel import Channel, Client
from darkroom.render.worker.message import Failed, Lost, Message

MOST_OPEN = 64  # connections that have not asked yet, and as many that have and wait
_CREDENTIALS = struct.Struct("3i")  # of the peer: process, user, group


@dataclass(frozen=True)
class Caller:
    """Somebody who has asked for something. Whoever serves it closes the connection."""

    connection: socket.socket | contextlib.nullcontext[None]
    client: Client
    message: Message


class Door:
    """The AF_UNIX socket at `path`, open from the start.

    `patience`: seconds in which a message must be whole, and an answer be taken. `user`: the one who may come in.
    """

    def __init__(self, path: Path, patience: float, user: int) -> None:
        self._path, self._patience, self._user = path, patience, user
        self._counting = threading.Lock()
        self._silent: dict[socket.socket, None] = {}  # in the order in which they came
        self._asked: queue.Queue[Caller] = queue.Queue(MOST_OPEN)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._listener.bind(str(path))
        except OSError as error:
            self._listener.close()
            said = f"no socket can be made there: {error.strerror or error}"
            raise WorkerError(f"{path}: {said}; set TMPDIR to a folder with room that you may write to") from error
        self._listener.listen()
        threading.Thread(target=self._let_in, daemon=True).start()

    def next_caller(self) -> Caller:
        """Waits for one."""
        return self._asked.get()

    def close(self) -> None:
        """Whoever comes from now on finds nobody, and starts another worker."""
        self._path.unlink(missing_ok=True)

    def _let_in(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if (user := user_of(connection)) != self._user:
                say(f"a process of user {user} was sent away: this worker is user {self._user}'s")
                connection.close()
                continue
            connection.settimeout(self._patience)  # for answers that nobody takes
            with self._counting:
                self._silent[connection] = None
                if len(self._silent) > MOST_OPEN:  # whoever asks does so at once: the one silent longest makes room
                    with contextlib.suppress(OSError):  # it is gone by itself
                        next(iter(self._silent)).shutdown(socket.SHUT_RDWR)
            threading.Thread(target=self._hear, args=(connection,), daemon=True).start()

    def _hear(self, connection: socket.socket) -> None:
        """One message, which is handed on with its connection; an answer and the end to what is none."""
        client = Channel(connection)
        try:
            message = client.receive(self._patience)
        except WorkerError as error:
            fail(client, Failed(str(error)))
            message = None
        except OSError:  # it is gone
            message = None
        finally:
            with self._counting:
                del self._silent[connection]
        if message is None:
            connection.close()
            return
        try:
            self._asked.put_nowait(Caller(connection, client, message))
        except queue.Full:
            fail(client, Failed(f"message: {MOST_OPEN} others wait for this worker already"))
            connection.close()


def user_of(connection: socket.socket) -> int:
    """The id of the user whose process is at the other end, as the kernel has it."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])


def fail(client: Client, failed: Failed | Lost) -> None:
    """Say why, here and to the client if it is still there."""
    say(failed.text)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        client.send(failed)


def say(text: str) -> None:
    """To the worker's log."""
    print(time.strftime("%H:%M:%S"), printable(text, but=LINES), file=sys.stderr, flush=True)
