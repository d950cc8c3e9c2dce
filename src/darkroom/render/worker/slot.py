"""The right to use one GPU: a private folder per Snakemake run, a lock and a worker socket per device.

Every thin client imports it, so it must stay quick to import.
"""

import contextlib
import fcntl
import os
import platform
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from darkroom.errors import WorkerError
from darkroom.filesystem.owner import is_mark_of_gone, mark
from darkroom.machine.allotment.cluster_job import cluster_job

_LONGEST = 45  # characters of a folder for temporary files; a socket's whole name may have 107 bytes
_POLL = 0.02  # seconds between looks at locks that others hold


@dataclass(frozen=True)
class Slot:
    """One device of one owner, held until the `with` block of `hold` ends."""

    owner: int
    number: int
    device: str | None  # a value for CUDA_VISIBLE_DEVICES; None where there is no GPU
    folder: Path
    host: str
    job: str | None  # the cluster's

    def use(self) -> None:
        """Let this process, and what it starts, see no other GPU; before torch is imported."""
        if self.device is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.device

    @property
    def name(self) -> str:
        """Of its worker among all of a run: machine, the cluster's job, GPU."""
        job, gpu = f"-job{self.job}" if self.job else "", f"-gpu{self.number}" if self.device else ""
        return f"{self.host}{job}{gpu}"

    @property
    def socket(self) -> Path:
        return self.folder / f"{self.number}.sock"


@contextlib.contextmanager
def hold(owner: int) -> Iterator[Slot]:
    """Take the first free device of this owner, waiting while all are busy."""
    folder = private_folder(owner)
    devices = visible_devices()
    files = [(folder / f"{number}.lock").open("w") for number in range(len(devices))]
    try:
        number = _first_free([file.fileno() for file in files])
        yield Slot(owner, number, devices[number], folder, platform.node(), cluster_job())
    finally:
        for file in files:
            file.close()


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


def sweep() -> None:
    """Remove the folders of owners that have ended, with sockets and locks: a worker that was killed could not."""
    parent = _parent()
    for folder in parent.iterdir() if parent.is_dir() else ():
        if is_mark_of_gone(folder.name):  # None where nobody here can tell: of another machine
            shutil.rmtree(folder, ignore_errors=True)  # another run may be sweeping too


def _parent() -> Path:
    temporary = tempfile.gettempdir()
    return Path(temporary if len(temporary) <= _LONGEST else "/tmp") / f"darkroom-{os.getuid()}"


def _first_free(locks: list[int]) -> int:
    while True:
        for number, lock in enumerate(locks):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return number
            except BlockingIOError:
                continue
            except OSError as error:
                said = f"{tempfile.gettempdir()}: its file system has no locks ({error.strerror})"
                raise WorkerError(f"{said}; set TMPDIR to a folder of this machine's own disk") from error
        time.sleep(_POLL)
