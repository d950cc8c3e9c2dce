"""What some file systems refuse for good, and what is done there in its place.

Network, cluster, FUSE and mounted Windows file systems may have no locks, hard links, mappings or modes. One rule for
all: go on without it where the promise holds, else say it in a sentence.

    hard link   a copy                        `link_or_copy`
    mode        stays as it is                `make_read_only`
    fsync       left to the file system       `flush`
    mapping     reading                       `can_map`, asked by whoever reads large files
    rename      not over a file, but in two steps; where there is none, files cannot be written whole: an error
                                              `replace`
    lock        a file that says who has it   lock.py
"""

import contextlib
import errno
import mmap
import os
import shutil
from pathlib import Path

_LACKING = (
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOLCK,
    errno.ENODEV,
    errno.EPERM,
    errno.EINVAL,
    errno.ENOTTY,
)
_READ_ONLY = 0o444
_IN_THE_WAY = (errno.EEXIST, errno.EACCES)  # what SFTP and some SMB servers say of a rename over a file


def lacks(error: OSError) -> bool:
    """True where a file system has no such call; False for what may pass, or is the file's own fault."""
    return error.errno in _LACKING


def link_or_copy(source: Path, destination: Path) -> None:
    """Make `destination`, which is not there, the same file as `source`; OSError where even a copy fails."""
    try:
        os.link(source, destination)
    except OSError:  # whatever it was refused for: a copy fails again for what is wrong with either
        shutil.copyfile(source, destination)


def make_read_only(path: Path) -> None:
    """For everybody, where the file system has modes."""
    try:
        path.chmod(_READ_ONLY)
    except OSError as error:
        if not lacks(error):
            raise


def flush(path: Path) -> None:
    """Have what was written into a file, or the names in a folder, reach the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not lacks(error):
            raise
    finally:
        os.close(descriptor)


def replace(source: Path, destination: Path) -> None:
    """Rename over whatever is there; where a file in the way is refused, that one is renamed first and goes last.

    OSError, with everything as it was, where nothing can be renamed.
    """
    try:
        source.replace(destination)
        return
    except OSError as error:
        if not lacks(error) and error.errno not in _IN_THE_WAY:
            raise
        refused = error
    aside = source.with_name(f".old{source.name}")
    try:
        destination.rename(aside)
    except OSError as error:
        if lacks(refused):
            said = f"its file system cannot rename files ({refused.strerror}), and only so are they whole or not there"
            raise OSError(refused.errno, f"{said}; work in a folder of another") from error
        raise refused from error
    try:
        source.rename(destination)
    except OSError:
        aside.rename(destination)
        raise
    aside.unlink()


def can_map(path: Path) -> bool:
    """Whether the whole file can be mapped, to be read and as a private copy; OSError where it cannot be opened.

    safetensors maps it the one way, torch the other.
    """
    with path.open("rb") as file:
        for access in (mmap.ACCESS_READ, mmap.ACCESS_COPY):
            try:
                with contextlib.closing(mmap.mmap(file.fileno(), 0, access=access)):
                    pass
            except OSError:  # whatever it was refused for: reading fails again for what is wrong with the file
                return False
            except ValueError:  # an empty file, which cannot be mapped anywhere
                return False
    return True
