"""Opens a file of ours where it lies: not through a link, whose target is somebody's file, nor waiting on a FIFO."""

import errno
import os
from pathlib import Path
from typing import IO, Any


def open_direct(path: Path, mode: str, **options: Any) -> IO[Any]:
    """As `open`; OSError where a link, or a FIFO that nobody reads, is in the file's place."""
    return open(path, mode, opener=_opened, **options)


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)


def why(error: OSError) -> str:
    """What to say of an error of `open_direct`."""
    is_link = error.errno == errno.ELOOP
    return "it is a link; remove it" if is_link else error.strerror or str(error)
