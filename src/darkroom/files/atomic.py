"""Files that are written whole or not at all, and linked; JSON of ours."""

import contextlib
import json
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from darkroom.errors import StoreError
from darkroom.files.regular_file import ANY_SIZE, is_there, other_kind, read_regular
from darkroom.filesystem.owner import is_mark_of_gone, mark
from darkroom.filesystem.refusals import flush, link_or_copy, replace

_TEMPORARY = re.compile(r"\..*\.(?P<mark>[^.]+)\.[0-9a-f]{8}\.tmp", re.DOTALL)
_NAMED = 40  # characters of a file's name in that of its temporary
_ABANDONED = 3600.0  # seconds without a change, where nobody can tell whose a temporary is


@contextlib.contextmanager
def atomic(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes the place of `path` when the block ends well, else it goes.

    Its content is on the disk before it has the name, and the name is when this returns: also where power fails, no
    file is half there. `durable=False` leaves that out, for what the next run writes again.
    """
    check_place(path)
    temporary = path.with_name(f".{path.name[:_NAMED]}.{mark()}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if durable:
            flush(temporary)
        replace(temporary, path)
        if durable:
            flush(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # not to be said in place of why it could not be written
            temporary.unlink()


def check_place(path: Path) -> None:
    """StoreError where a file cannot take the place: a rename would put one there of a device, too."""
    kind = other_kind(path)
    if kind or not path.name:
        raise StoreError(f"{path}: cannot be written: expected a file, got a {kind or 'folder'}")


def sweep(folder: Path) -> None:
    """Remove what killed processes had begun to write: at once, or where nobody can tell of them after an hour."""
    for path in folder.rglob(".*.tmp"):
        match = _TEMPORARY.fullmatch(path.name)
        is_gone = is_mark_of_gone(match["mark"]) if match else None
        with contextlib.suppress(FileNotFoundError):  # another run is sweeping too
            if is_gone or (is_gone is None and abs(time.time() - path.stat().st_mtime) > _ABANDONED):
                path.unlink()


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Write a value as readable JSON, whole or not at all; `durable` as for `atomic`."""
    with atomic(path, durable=durable) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote; StoreError when it is missing, no regular file, or not JSON."""
    if not is_there(path):
        raise StoreError(f"{path}: missing; Snakemake with --forcerun plan writes it again")
    try:
        return json.loads(read_regular(path, ANY_SIZE, StoreError).decode())
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: unreadable: {error}; delete it and run Snakemake again") from error


def link(source: Path, destination: Path) -> None:
    """Make `destination` the same file as `source`: a hard link, or a copy where the file system has none."""
    if destination.exists() and destination.samefile(source):
        return
    with atomic(destination) as temporary:
        link_or_copy(source, temporary)
