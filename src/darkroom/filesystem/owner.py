"""Which process something belongs to, told so that others can say when that has ended: locks, half-written files.

A process is told from a later one with its number by when it started, counted by the kernel from the start of the
machine: no clock that somebody sets moves that.
"""

import hashlib
import os
import platform
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

_STATE, _START = (
    0,
    19,
)  # fields of /proc/<pid>/stat behind the name: 3 and 22 of proc(5)
_ENDED = ("Z", "X")  # states of a process that has ended and that nobody has asked about yet
_MARK = re.compile(r"(\d+)-(\d+)-([0-9a-f]{8})")


@dataclass(frozen=True)
class Owner:
    """A process of a machine. `space`: its PID namespace, since containers may share a machine's name."""

    host: str
    pid: int
    started: float  # ticks since the machine started
    space: str = ""  # unsaid by older versions, whose `started` was of a clock: nobody can tell of such a one

    @classmethod
    def here(cls) -> Self:
        pid = os.getpid()
        return cls(platform.node(), pid, started(pid) or 0, _space())

    @property
    def is_gone(self) -> bool:
        """Known to have ended: never of another machine."""
        return (self.host, self.space) == (platform.node(), _space()) and has_ended(self.pid, self.started)


def started(pid: int) -> int | None:
    """When a process started; None where there is none, it has ended, or nobody may look at it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return None if fields[_STATE] in _ENDED else int(fields[_START])


def has_ended(pid: int, started_at: float) -> bool:
    """Whether the process that started then, on this machine, is no more."""
    found = started(pid)
    return found != started_at if found is not None else not _is_hidden(pid)


def mark(pid: int | None = None) -> str:
    """Of a process of this machine, by default this one, as part of a file's name."""
    return _mark(os.getpid() if pid is None else pid)


def is_mark_of_gone(text: str) -> bool | None:
    """Whether the process with this mark has ended; None where that cannot be told: of another machine, or no mark."""
    match = _MARK.fullmatch(text)
    if match is None or match[3] != _place():
        return None
    return has_ended(int(match[1]), int(match[2]))


@cache
def _mark(pid: int) -> str:
    return f"{pid}-{started(pid) or 0}-{_place()}"


@cache
def _place() -> str:
    return hashlib.sha256(f"{platform.node()} {_space()}".encode()).hexdigest()[:8]


def _space() -> str:
    return str(Path("/proc/self/ns/pid").readlink())


def _is_hidden(pid: int) -> bool:
    """Whether it is another user's, of whom /proc says nothing where it is mounted so."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return False
