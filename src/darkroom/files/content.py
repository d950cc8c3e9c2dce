"""The store's files, each with its digest beside it: writes them, and says whether one is still what was written.

What is used is what was digested: the bytes are read once, and parsed from memory.

    results/store/images/ab/SHA256SUMS      a line for each time that a file beside it was written, as sha256sum has it

A line is written before its file, so that no file is without one, and of several lines of one file any is right. A file
that has none, of an older version or brought here, is whole where its format shows no damage.
"""

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from darkroom.errors import ImageError, StoreError, WeightFileError, without_place
from darkroom.files.atomic import atomic
from darkroom.files.container import check_whole
from darkroom.files.regular_file import read_regular
from darkroom.files.weight_file import header_of

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_FOLDERS = 1024  # whose digests are remembered; the store has 256 of a kind
_LARGEST = 2**32  # bytes of a file of the store


def sha256_in(content: bytes) -> str:
    """SHA-256 of bytes, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def check_planned(content: bytes, path: str | Path, sha256: str | None) -> None:
    """StoreError where what a plan names by its digest is another file by now: `content` was found at `path`.

    `sha256`: None or "" where nothing was planned with it, and whatever is there will do.
    """
    if sha256 and sha256_in(content) != sha256:
        raise StoreError(
            f"{path}: changed after the plan was made, and pictures are named by what was in it; run Snakemake again"
        )


def write_content(path: Path, content: bytes) -> str:
    """Write a file of the store with its digest beside it, whole or not at all; the digest."""
    note_digest(path, sha256 := sha256_in(content))
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    return sha256


def read_content(path: Path) -> bytes:
    """A file of the store; StoreError where it is gone, or not what was written."""
    content = read_regular(path, _LARGEST, StoreError)
    if fault := _fault_in(content, path):
        raise StoreError(f"{path}: {fault}")
    return content


def fault_of(path: Path) -> str | None:
    """What is wrong with a file of the store, in a clause; None for one that is as it was written."""
    try:
        content = read_regular(path, _LARGEST, StoreError)
    except StoreError as error:
        return without_place(error, path)
    return _fault_in(content, path)


def is_intact(path: Path) -> bool:
    """Whether a file of the store is there, and as it was written."""
    return fault_of(path) is None


def digests_of(path: Path) -> frozenset[str]:
    """Those that a file of the store may have; none where nobody has noted one."""
    try:
        found = (sums := path.with_name(SUMS)).stat()
    except FileNotFoundError:
        return frozenset()
    return _digests(sums, (found.st_ino, found.st_size, found.st_mtime_ns)).get(path.name, frozenset())


def note_digest(path: Path, sha256: str) -> None:
    """Note what a file of the store is about to have in it, or has. StoreError where that cannot be written."""
    line = f"{sha256}  {path.name}\n".encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(SUMS).open("a+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            is_cut = size and os.pread(file.fileno(), 1, size - 1) != b"\n"
            file.write(b"\n" + line if is_cut else line)  # one write, of which another process's begins behind
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from error


@lru_cache(maxsize=_FOLDERS)
def _digests(sums: Path, state: tuple[int, ...]) -> Mapping[str, frozenset[str]]:
    """By name; `state`, so that a file that has grown is read again. A line that was cut off counts for nothing."""
    found: dict[str, set[str]] = defaultdict(set)
    for line in sums.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := _LINE.fullmatch(line):
            found[match[2]].add(match[1])
    return {name: frozenset(digests) for name, digests in found.items()}


def _fault_in(content: bytes, path: Path) -> str | None:
    if known := digests_of(path):
        return None if sha256_in(content) in known else "damaged: not what was written"
    try:
        if path.suffix == ".safetensors":
            header_of(content, path)
        else:
            check_whole(content)
    except (WeightFileError, ImageError) as error:
        return without_place(error, path)
    return None
