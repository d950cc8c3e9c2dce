"""Keeps two runs apart: a lock that a process holds until it closes it or ends, however it ends.

By flock; where the file system has none, by a file beside it that says who is at work, which goes when its owner does.
The file of a process that was killed is taken over on the same host. Of another host nobody can tell whether the
process is alive, so people are asked.
"""

import atexit
import contextlib
import errno
import fcntl
import json
import os
import secrets
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO, NoReturn, Protocol

from darkroom.errors import StoreError
from darkroom.filesystem.direct import open_direct, why
from darkroom.filesystem.owner import Owner
from darkroom.filesystem.refusals import lacks

_MOMENT = 0.1  # seconds


class Lock(Protocol):
    """Held until it is closed."""

    def close(self) -> None: ...


def is_held(path: Path) -> bool:
    """Whether a process has the lock at `path` now. Nothing is written."""
    if (owned := path.with_name(f"{path.name}.owner")).exists():
        owner = _read(owned)
        return owner is None or not owner.is_gone
    try:
        with open_direct(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError as error:
        return isinstance(error, BlockingIOError) or not (lacks(error) or error.errno == errno.ELOOP)
    return False


def locked(path: Path) -> Lock:
    """The lock at `path`, for the folder that it lies in; StoreError while another run has it."""
    try:
        lock = _lock(path)
    except _HeldError:
        time.sleep(_MOMENT)  # whoever asks `is_held` has it for a moment
        lock = _lock(path)
    if isinstance(lock, _OwnedFile):
        print(
            f"darkroom: {path.parent}: its file system has no locks ({lock.refused}); {path.name}.owner with host and "
            "process keeps two runs apart instead",
            file=sys.stderr,
        )
    return lock


def reserved(path: Path) -> Lock | None:
    """The lock at `path`, which is gone once it is closed; None while another has it. StoreError as for `locked`."""
    try:
        lock = _lock(path)
    except _HeldError:
        return None
    return lock if isinstance(lock, _OwnedFile) else _Passing.of(path, lock)


class _HeldError(StoreError):
    """Somebody has it."""


def _lock(path: Path) -> "IO[bytes] | _OwnedFile":
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open_direct(path, "a+b")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {why(error)}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        if isinstance(error, BlockingIOError):
            raise _HeldError(
                f"{path.parent}: another Snakemake is at work on this experiment; wait for its end"
            ) from error
        if not lacks(error):
            raise StoreError(f"{path}: cannot be locked: {error.strerror or error}") from error
        return _OwnedFile(path.with_name(f"{path.name}.owner"), error.strerror or str(error))
    return file


class _Passing:
    """A lock whose file goes with it."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path, self._file = path, file

    @classmethod
    def of(cls, path: Path, file: IO[bytes]) -> "_Passing | None":
        """None where the file went between being opened and being locked: then the lock is of nothing."""
        with contextlib.suppress(FileNotFoundError):
            if path.samefile(f"/proc/self/fd/{file.fileno()}"):
                return cls(path, file)
        file.close()
        return None

    def close(self) -> None:
        self._path.unlink(missing_ok=True)  # while it is held: nobody has another file of this name
        self._file.close()


def _read(path: Path) -> Owner | None:
    """None where it was not written to the end, or is of no process."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Owner(**json.loads(path.read_text(encoding="utf-8")))
    return None


class _OwnedFile:
    """The file that says who is at work; StoreError where somebody is."""

    def __init__(self, path: Path, refused: str) -> None:
        self._path, self._owner, self.refused = path, Owner.here(), refused
        try:
            if not self._is_created():
                self._take_over()
        except OSError as error:
            raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from error
        atexit.register(self.close)

    def close(self) -> None:
        """Let others in. In a process that was forked meanwhile, nothing happens."""
        atexit.unregister(self.close)
        if os.getpid() == self._owner.pid:
            self._path.unlink(missing_ok=True)

    def _is_created(self) -> bool:
        """False where the file is there already."""
        try:
            with self._path.open("x", encoding="utf-8") as file:
                json.dump(asdict(self._owner), file)
        except FileExistsError:
            return False
        return True

    def _take_over(self) -> None:
        owner = _read(self._path)
        if owner is None or not owner.is_gone:
            self._refuse(owner)
        # One of several that saw the same owner gets the file, and looks whether it is still that owner's.
        taken = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}.tmp")
        with contextlib.suppress(FileNotFoundError):  # somebody else was quicker
            self._path.rename(taken)
            found = _read(taken)
            if found != owner:
                taken.rename(self._path)
                self._refuse(found)
            taken.unlink()
        if not self._is_created():
            self._refuse(_read(self._path))

    def _refuse(self, owner: Owner | None) -> NoReturn:
        who = f"process {owner.pid} on {owner.host}" if owner else "a process"
        raise _HeldError(
            f"{self._path.parent}: {who} is at work on this experiment; wait for its end, or delete {self._path} "
            "if it has ended"
        )
