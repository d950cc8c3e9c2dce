"""A .safetensors file seen from outside: its header, whether it is whole, its digest. Never loads a tensor.

Format: 8 bytes little-endian header length, a JSON header, then the tensors' bytes.
"""

import hashlib
import json
import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from darkroom.errors import WeightFileError

_LONGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors library
_BYTES = {  # of one number; a dtype that is not here is not checked
    **dict.fromkeys(("F64", "I64", "U64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "I8", "U8", "BOOL"), 1),
}


@dataclass(frozen=True)
class Header:
    """Shapes and dtypes by tensor name, and the free metadata (all strings).

    `starts`: where in the file a tensor's bytes begin; they lie there row by row.
    """

    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]
    metadata: dict[str, str]
    starts: dict[str, int] = field(default_factory=dict)


def read_header(path: str | Path) -> Header:
    """The header of a whole .safetensors file; WeightFileError if it is missing, truncated or something else."""
    path = Path(path)
    if not path.is_file():
        raise WeightFileError(f"{path}: no such file")
    size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else _LONGEST_HEADER + 1
        if not 2 <= length <= _LONGEST_HEADER:
            reason = foreign_format(prefix)
            told = f": {reason}" if reason else f" ({size} bytes, no valid header)"
            raise WeightFileError(f"{path}: not a .safetensors file{told}")
        text = file.read(length)
    if len(text) < length:
        raise WeightFileError(f"{path}: truncated: the header alone has {length} bytes, the file {size}; copy it again")
    try:
        entries = json.loads(text)
        metadata = entries.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise TypeError("__metadata__ is no mapping of texts")
        ends = [_end(name, entry) for name, entry in entries.items()]
        header = Header(
            shapes={name: tuple(entry["shape"]) for name, entry in entries.items()},
            dtypes={name: str(entry["dtype"]) for name, entry in entries.items()},
            metadata=metadata,
            starts={name: 8 + length + int(entry["data_offsets"][0]) for name, entry in entries.items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise WeightFileError(f"{path}: not a .safetensors file (unreadable header: {error})") from error
    expected = 8 + length + max(ends, default=0)
    if size != expected:
        state = "truncated" if size < expected else "too long"
        raise WeightFileError(f"{path}: {state}: expected {expected} bytes by its header, got {size}; copy it again")
    return header


def _end(name: str, entry: Any) -> int:
    """Where a tensor's bytes end, behind the header; ValueError where they are not as many as its shape asks for."""
    start, end = map(int, entry["data_offsets"])
    shape = [int(side) for side in entry["shape"]]
    size = _BYTES.get(str(entry["dtype"]))
    if start < 0 or min(shape, default=0) < 0 or (size and end - start != size * math.prod(shape)):
        raise ValueError(f"{name}: {end - start} bytes are not {entry['dtype']} {shape}")
    return end


def foreign_format(start: bytes) -> str | None:
    """What a file is that starts so and is no .safetensors file, and what to do; None for what nobody takes for one."""
    if start.startswith((b"PK", b"\x80")):
        return (
            "it is a PyTorch pickle, which can run code when it is opened; convert it to .safetensors where it is from"
        )
    if start.startswith(b"GGUF"):
        return "it is a GGUF file; give it a name that ends in .gguf"
    if start.startswith(b"version "):
        return "it is a pointer of git-lfs, not the file; `git lfs pull` where it was cloned fetches that"
    if start.lstrip().lower().startswith((b"<!doct", b"<html", b"<?xml", b"<head")):
        return "it is a web page, such as one that asks for a login; download the file with a browser"
    return None


def is_whole(path: Path) -> bool:
    """True for a .safetensors file that is there and complete."""
    try:
        read_header(path)
    except WeightFileError:
        return False
    return True


def sha256_of(path: str | Path) -> str:
    """SHA-256 of the file's bytes, 64 hex digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identity(path: str | Path) -> list[Any]:
    """What changes when a file is replaced: absolute path, size in bytes, modification time in ns."""
    stat = Path(path).stat()
    return [str(Path(path).absolute()), stat.st_size, stat.st_mtime_ns]
