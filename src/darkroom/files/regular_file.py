"""Opens a file that somebody named: a regular file, or an error at once, never a wait for a FIFO or a device."""

import os
import stat
import sys
import unicodedata
from pathlib import Path
from typing import BinaryIO

from darkroom.errors import ConfigError, DarkroomError

MEGABYTE = 2**20
ANY_SIZE = sys.maxsize  # of weights
_LONGEST_TEXT = 4 * MEGABYTE
_ALIKE = "; one lies there whose name reads the same in other Unicode characters: copy its name from there"

_UNFINISHED = (".aria2", ".part", ".partial", ".crdownload", ".incomplete", ".download", ".filepart", ".tmp")

_KINDS = {
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "FIFO",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


def is_there(path: Path) -> bool:
    """Whether a path leads to anything; a name that no file can have does not, where `Path.exists` fails."""
    return os.path.exists(path)  # noqa: PTH110


def other_kind(path: Path) -> str | None:
    """What a path leads to that is no file, such as `device`; None for a file, or where nothing is there."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except OSError:
        return None
    return _KINDS.get(kind)


def missing(path: Path) -> str:
    """`no such file`, and why somebody may think that there is one."""
    if os.path.islink(path):  # noqa: PTH114 - Path.is_symlink fails for a name that no file can have
        return "a link that leads to no file"
    if beside := unfinished(path):
        return (
            f"no such file; {beside.name} beside it is a download that was not finished: let it end, or begin it again"
        )
    name = unicodedata.normalize("NFC", path.name)
    try:
        is_alike = any(unicodedata.normalize("NFC", other.name) == name for other in path.parent.iterdir())
    except (OSError, ValueError):
        is_alike = False
    return "no such file" + (_ALIKE if is_alike else "")


def unfinished(path: Path) -> Path | None:
    """What a browser or downloader keeps beside a file until it is whole, where that is there."""
    beside = (path.with_name(f"{path.name}{ending}") for ending in _UNFINISHED if path.name)
    return next((each for each in beside if is_there(each)), None)


def from_home(path: str | Path) -> Path:
    """The path with ~ taken for the home folder; ~name of nobody stays as it is, where `Path.expanduser` fails."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def open_regular(path: Path, limit: int, error: type[DarkroomError]) -> BinaryIO:
    """The file, open for reading. `error` says why not: missing, no regular file, or more than `limit` bytes."""
    try:
        # O_NONBLOCK: opening a FIFO would wait for somebody who writes into it.
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "rb")
    except FileNotFoundError as gone:
        hint = "" if path.is_absolute() else " (paths start at the working directory)"
        raise error(f"{path}: {missing(path)}{hint}") from gone
    except IsADirectoryError as folder:
        raise error(f"{path}: expected a file, got a folder") from folder
    except OSError as refused:
        raise error(f"{path}: cannot be opened: {refused.strerror}") from refused
    found = os.fstat(file.fileno())
    fault = None
    if not stat.S_ISREG(found.st_mode):
        fault = f"expected a file, got a {_KINDS[stat.S_IFMT(found.st_mode)]}"
    elif found.st_size > limit:
        fault = f"{found.st_size} bytes; at most {limit} are read of such a file"
    if fault:
        file.close()
        raise error(f"{path}: {fault}")
    return file


def read_regular(path: Path, limit: int, error: type[DarkroomError]) -> bytes:
    """What is in the file; `error` as for `open_regular`, or where reading it fails."""
    with open_regular(path, limit, error) as file:
        try:
            return file.read(os.fstat(file.fileno()).st_size)
        except OSError as failed:
            raise error(f"{path}: cannot be read: {failed.strerror}") from failed


def read_text(path: Path, limit: int = _LONGEST_TEXT) -> str:
    """The UTF-8 text of a file of at most `limit` bytes, without its byte order mark; ConfigError if it is none."""
    content = read_regular(path, limit, ConfigError)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}: line {line}: not UTF-8 text: {error.reason}; save it as UTF-8") from error
