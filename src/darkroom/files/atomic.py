"""Files that are written whole or not at all, and linked; JSON of ours."""

import contextlib
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from darkroom.errors import StoreError
from darkroom.filesystem.refusals import link_or_copy, replace

_TEMPORARY = ".tmp"
_ABANDONED = 3600.0  # seconds


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes the place of `path` when the block ends well, else it goes."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        replace(temporary, path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            temporary.unlink()


def sweep(folder: Path) -> None:
    """Remove what killed processes had begun to write, once it is old enough to be nobody's."""
    for path in folder.rglob(f".*{_TEMPORARY}"):
        with contextlib.suppress(FileNotFoundError):  # another run is sweeping too
            if time.time() - path.stat().st_mtime > _ABANDONED:
                path.unlink()


def write_json(path: Path, value: Any) -> None:
    """Write a value as readable JSON, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote; StoreError when it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError(f"{path}: missing; Snakemake with --forcerun plan writes it again") from error
    except (ValueError, OSError) as error:
        raise StoreError(f"{path}: unreadable: {error}; delete it and run Snakemake again") from error


def link(source: Path, destination: Path) -> None:
    """Make `destination` the same file as `source`: a hard link, or a copy where the file system has none."""
    if destination.exists() and destination.samefile(source):
        return
    with atomic(destination) as temporary:
        link_or_copy(source, temporary)
