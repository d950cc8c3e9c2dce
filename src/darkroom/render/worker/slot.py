"""The right to use one GPU: a private folder per Snakemake run, a lock and a worker socket per device.

Every thin client imports it, so it must stay quick to import.
"""

import contextlib
import fcntl
import os
import platform
import re
import shlex
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from darkroom.errors import WorkerError
from darkroom.filesystem.owner import is_mark_of_gone, mark
from darkroom.machine.allotment.cluster_job import cluster_job

_LONGEST = 45  # characters of a folder for temporary files; a socket's whole name may have 107 bytes
HERE = "here"  # where workers are started: no command does it
_COUNTED = re.compile(r"[0-9]{1,4} *\*")
_MOST = 1024  # workers
_POLL = 0.02  # seconds between looks at locks that others hold
_GONE = 600.0  # seconds for which a machine that could not be reached is left alone
_WAITING = "waiting.lock"  # held together by all who wait for a device


@dataclass(frozen=True)
class Slot:
    """One device of one owner, held until the `with` block of `hold` ends."""

    owner: int
    number: int
    device: str | None  # a value for CUDA_VISIBLE_DEVICES; None where there is no GPU
    folder: Path
    host: str
    job: str | None  # the cluster's
    launcher: tuple[str, ...] = ()  # the command that starts its worker elsewhere; () for here

    def use(self) -> None:
        """Let this process, and what it starts, see no other GPU; before torch is imported."""
        if self.device is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.device

    @property
    def name(self) -> str:
        """Of its worker among all of a run: machine, the cluster's job, GPU; which, where it is elsewhere."""
        if self.launcher:
            return f"launched{self.number}"
        return _name(self.host, self.job, str(self.number) if self.device else None)

    @property
    def socket(self) -> Path:
        return self.folder / f"{self.number}.sock"

    @property
    def _base(self) -> Path:
        return self.folder / f"{self.number}.base"

    @property
    def base(self) -> str | None:
        """The base model that its worker has rendered from last; None where it has none, or there is no worker."""
        return self._base.read_text(encoding="utf-8") if self.socket.exists() and self._base.is_file() else None

    @property
    def is_gone(self) -> bool:
        """Whether nobody was there, a moment ago, where its worker is to be started."""
        try:
            return time.time() - _gone(self.socket).stat().st_mtime < _GONE
        except FileNotFoundError:
            return False

    def note(self, base: str) -> None:
        """What its worker is about to load, for whoever looks for a device next."""
        self._base.write_text(base, encoding="utf-8")


def name_here() -> str:
    """The same of this process, where whoever started it has chosen the GPU."""
    return _name(platform.node(), cluster_job(), os.environ.get("CUDA_VISIBLE_DEVICES"))


def _name(host: str, job: str | None, gpu: str | None) -> str:
    return "-".join([host, *([f"job{job}"] if job else []), *([f"gpu{gpu}"] if gpu else [])])


@contextlib.contextmanager
def hold(owner: int, launchers: Sequence[tuple[str, ...]] = (), base: str | None = None) -> Iterator[Slot]:
    """Take a device of this owner, waiting while all are busy: of the free ones the one that has this base model.

    Else one that has none, so that what others have stays where it is; none that is gone, unless all are. `launchers`:
    a command for each worker that is to run elsewhere; none of this machine's devices is used then.
    """
    devices = slots(owner, launchers)
    with (private_folder(owner) / _WAITING).open("w") as waiting:
        while not (free := _first_free(_best_first(devices, base))):
            fcntl.flock(waiting, fcntl.LOCK_SH)
            time.sleep(_POLL)
    slot, lock = free
    with lock:
        if base is not None:
            slot.note(base)
        yield slot


def _best_first(devices: Sequence[Slot], base: str | None) -> list[Slot]:
    there = [slot for slot in devices if not slot.is_gone] or devices
    return sorted(there, key=lambda slot: (slot.base != base, slot.base is not None))


def note_gone(socket: Path) -> None:
    """Of the device with this socket: a job had better wait for another one than find nobody there as well."""
    _gone(socket).touch()


def _gone(socket: Path) -> Path:
    return socket.with_suffix(".gone")


def slots(owner: int, launchers: Sequence[tuple[str, ...]] = ()) -> list[Slot]:
    """All devices of this owner."""
    folder, host, job = private_folder(owner), platform.node(), cluster_job()
    if launchers:
        return [Slot(owner, number, None, folder, host, job, each) for number, each in enumerate(launchers)]
    return [Slot(owner, number, device, folder, host, job) for number, device in enumerate(visible_devices())]


def is_waited_for(folder: Path) -> bool:
    """Whether somebody waits in `hold` for a device of this private folder."""
    with (folder / _WAITING).open("w") as waiting:
        try:
            fcntl.flock(waiting, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def take(slot: Slot) -> IO[str] | None:
    """A device's lock, which holds it until it is closed; None while somebody else does."""
    lock = (slot.folder / f"{slot.number}.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    except OSError as error:
        lock.close()
        said = f"{tempfile.gettempdir()}: its file system has no locks ({error.strerror})"
        raise WorkerError(f"{said}; set TMPDIR to a folder of this machine's own disk") from error
    return lock


def _first_free(devices: Sequence[Slot]) -> tuple[Slot, IO[str]] | None:
    return next(((slot, lock) for slot in devices if (lock := take(slot))), None)


def launchers_of(text: str) -> list[tuple[str, ...]]:
    """The commands that start workers, one each: `3 * srun --gpus=1; ssh node9` has four, and HERE none.

    WorkerError for what is no command.
    """
    found = []
    for part in filter(None, map(str.strip, text.split(";") if text != HERE else ())):
        count, _, command = part.partition("*") if _COUNTED.match(part) else ("1", "", part)
        try:
            words = tuple(shlex.split(command))
        except ValueError as error:
            raise WorkerError(f"launcher: expected a command, got {part!r}: {error}") from error
        if not words or not 0 < int(count) <= _MOST:
            raise WorkerError(f"launcher: expected a command, or 1 to {_MOST} times one (3 * srun), got {part!r}")
        found += [words] * int(count)
    return found


def visible_devices() -> list[str | None]:
    """GPUs this process may use, as CUDA_VISIBLE_DEVICES values; [None] where there is none."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        names: list[str | None] = [name.strip() for name in listed.split(",") if name.strip()]
    else:
        names = [str(number) for number in range(len(list(Path("/proc/driver/nvidia/gpus").glob("*"))))]
    return names or [None]


def private_folder(owner: int) -> Path:
    """A folder that only this user can enter, named by the owner's mark.

    A later process with its number has another, and so has one of another machine where both see one TMPDIR.
    """
    parent = _parent()
    parent.mkdir(mode=0o700, exist_ok=True)
    found = parent.stat(follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise WorkerError(f"{parent}: expected a folder that only you can enter; remove it or set TMPDIR")
    folder = parent / mark(owner)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def clear(folder: Path) -> None:
    """Remove the private folder of an owner that has ended."""
    for kind in ("sock", "lock", "base", "gone"):
        for file in folder.glob(f"*.{kind}"):
            file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # another device's worker is doing the same
        folder.rmdir()


def sweep() -> None:
    """Remove the folders of owners that have ended, with sockets and locks: a worker that was killed could not."""
    parent = _parent()
    for folder in parent.iterdir() if parent.is_dir() else ():
        if is_mark_of_gone(folder.name):  # None where nobody here can tell: of another machine
            shutil.rmtree(folder, ignore_errors=True)  # another run may be sweeping too


def _parent() -> Path:
    temporary = tempfile.gettempdir()
    return Path(temporary if len(temporary) <= _LONGEST else "/tmp") / f"darkroom-{os.getuid()}"
