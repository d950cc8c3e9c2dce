"""Has devices that would idle make pictures of a combination that another device has begun.

Whoever asked for it looks for devices that stay free meanwhile: then no other combination is left to give them. Whose
turn each picture is, the workers settle (attempts/turn.py). What happens to a device that helps is nothing to the job.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from darkroom.errors import DarkroomError
from darkroom.render.job import Help, Job
from darkroom.render.progress import Progress
from darkroom.render.worker import slot
from darkroom.render.worker.channel import Channel
from darkroom.render.worker.message import Stop
from darkroom.render.worker.slot import Slot

_LOOK = 0.1  # seconds between looks at devices


@dataclass(frozen=True)
class Sharing:
    """When a device helps; in seconds."""

    idle: float = 2.0  # that it has been free for: a job that Snakemake starts for it takes less to hold it
    worth: float = 30.0  # that the job will take yet, where the device has to load the base model first


USUAL = Sharing()


class Helpers:
    """Of one job on one device; within the `with` block of `helped`."""

    def __init__(self, job: Job, base: str, connect: Callable[[Slot], socket.socket], sharing: Sharing) -> None:
        self._job, self._base, self._connect, self._sharing = job, base, connect, sharing
        self._latest: Progress | None = None
        self._asked: set[int] = set()  # numbers of devices, each once
        self._helping: list[socket.socket] = []
        self._ended = threading.Event()

    def hear(self, progress: Progress) -> None:
        """What the device that has begun says."""
        self._latest = progress

    def look(self, others: list[Slot]) -> None:
        """Ask each device that stays free, until `end`; once a job waits for one, let them go behind their pictures."""
        free_since: dict[int, float] = {}
        while not self._ended.wait(_LOOK):
            if slot.is_waited_for(others[0].folder):
                self._tell(lambda connection: Channel(connection).send(Stop()))
            for device in others:
                lock = None if device.number in self._asked else slot.take(device)
                if lock is None:
                    free_since.pop(device.number, None)
                    continue
                free = time.monotonic() - free_since.setdefault(device.number, time.monotonic())
                if free < self._sharing.idle or not self._is_worth_it(device):
                    lock.close()
                    continue
                self._asked.add(device.number)
                threading.Thread(target=self._ask, args=(device, lock), daemon=True).start()

    def end(self) -> None:
        """Every picture is made, or the job has failed: whose connection ends abandons what it is at."""
        self._ended.set()
        self._tell(lambda connection: connection.shutdown(socket.SHUT_RDWR))

    def _is_worth_it(self, device: Slot) -> bool:
        left = self._latest.eta_seconds if self._latest else None
        return left is not None and (device.base == self._base or left >= self._sharing.worth)

    def _ask(self, device: Slot, lock: IO[str]) -> None:
        """One device, held until it has no more to do; an error of its own stands in its worker's log."""
        with lock, contextlib.suppress(DarkroomError, OSError), contextlib.closing(self._connect(device)) as connection:
            self._helping.append(connection)
            if not self._ended.is_set():
                device.note(self._base)
                channel = Channel(connection)
                channel.send(Help(**vars(self._job)))
                channel.receive()

    def _tell(self, what: Callable[[socket.socket], None]) -> None:
        """Once to each that helps."""
        while self._helping:
            with contextlib.suppress(OSError):  # it is closed already
                what(self._helping.pop())


@contextlib.contextmanager
def helped(
    held: Slot, job: Job, base: str, connect: Callable[[Slot], socket.socket], sharing: Sharing
) -> Iterator[Helpers]:
    """Look for help within. `held`: the device that has begun."""
    helpers = Helpers(job, base, connect, sharing)
    if others := [device for device in slot.slots(held.owner) if device.number != held.number]:
        threading.Thread(target=helpers.look, args=(others,), daemon=True).start()
    try:
        yield helpers
    finally:
        helpers.end()
