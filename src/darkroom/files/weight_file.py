"""A .safetensors file seen from outside: its header, whether it is whole, its digest. Never loads a tensor.

Format: 8 bytes little-endian header length, a JSON header, then the tensors' bytes.
"""

import hashlib
import io
import math
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from darkroom.errors import WeightFileError
from darkroom.files.json_text import parse_json
from darkroom.files.regular_file import ANY_SIZE, is_there, missing, open_regular, unfinished
from darkroom.files.value_types import as_keys

# A header of 84 MB with 1.5 million tensors took 1.2 GB; the largest real ones have some thousands.
_LONGEST_HEADER, _MOST_TENSORS = 16_000_000, 50_000  # bytes; the safetensors library reads 100 MB
_MOST_VALUES = 20 * _MOST_TENSORS  # and keys: 11 a tensor of two dimensions
_SHOWN = 400  # bytes of a file that is another one
_IN_PLACE = ".aria2"  # beside a file that has its whole size from the beginning
_ENTRY = 30  # bytes before the first name in a zip
_ARCHIVES = (b"\x1f\x8b", b"Rar!", b"7z\xbc\xaf", b"\xfd7zXZ", b"BZh", b"\x28\xb5\x2f\xfd")
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
    check_finished(path)
    with open_regular(path, ANY_SIZE, WeightFileError) as file:
        return _header(file, os.fstat(file.fileno()).st_size, path)


def check_finished(path: Path) -> None:
    """WeightFileError where there is no file, or one that is still downloaded into: aria2 takes its room beforehand."""
    if not is_there(path):
        raise WeightFileError(f"{path}: {missing(path)}")
    beside = unfinished(path)
    if beside and beside.suffix == _IN_PLACE:
        raise WeightFileError(f"{path}: not whole: {beside.name} says that its download was not finished; let it end")


def header_of(content: bytes, path: str | Path) -> Header:
    """The same of a file's bytes, which were found at `path`."""
    return _header(io.BytesIO(content), len(content), path)


def _header(file: BinaryIO, size: int, path: str | Path) -> Header:
    prefix = file.read(8)
    length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
    if not 2 <= length <= _LONGEST_HEADER:
        raise WeightFileError(f"{path}: not a .safetensors file{_why(prefix + file.read(_SHOWN), length, size)}")
    text = file.read(length)
    if len(text) < length:
        raise WeightFileError(f"{path}: truncated: the header alone has {length} bytes, the file {size}; copy it again")
    if (count := text.count(b'"data_offsets"')) > _MOST_TENSORS:
        raise WeightFileError(f"{path}: its header has {count} tensors; at most {_MOST_TENSORS} are read")
    try:
        entries = as_keys(parse_json(text.decode(), most=_MOST_VALUES))
        said = entries.get("__metadata__")
        metadata = as_keys({} if said is None else said)
        if not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("__metadata__ is no mapping of texts")
        tensors = [_tensor(name, entry) for name, entry in entries.items() if name != "__metadata__"]
        end = _end(tensors)
    except ValueError as error:
        raise WeightFileError(f"{path}: not a .safetensors file (unreadable header: {error})") from error
    expected = 8 + length + end
    if size != expected:
        state = "truncated" if size < expected else "too long"
        raise WeightFileError(f"{path}: {state}: expected {expected} bytes by its header, got {size}; copy it again")
    return Header(
        shapes={tensor.name: tensor.shape for tensor in tensors},
        dtypes={tensor.name: tensor.dtype for tensor in tensors},
        metadata=dict(metadata),
        starts={tensor.name: 8 + length + tensor.start for tensor in tensors},
    )


def _why(start: bytes, length: int, size: int) -> str:
    """A file has no header that is read. `start`: its first bytes."""
    if reason := foreign_format(start):
        return f": {reason}"
    if _LONGEST_HEADER < length < size:
        return f" that is read: its header has {length} bytes; at most {_LONGEST_HEADER} are"
    if not start.strip(b"\0"):
        return f": it {'begins with zeros' if start else 'is empty'}, as a download that was broken off; copy it again"
    if size <= len(start) and (text := _as_text(start)):
        return f": it is a text, {text[:80]!r}, as a server sends in place of a file; download it again"
    return f" ({size} bytes, no valid header); copy it again, or look where it is from"


def _as_text(start: bytes) -> str:
    """ "" for what is no text."""
    try:
        text = start.decode().strip()
    except UnicodeDecodeError:
        return ""
    return text if text.replace("\n", " ").isprintable() else ""


class _Tensor(NamedTuple):
    """An entry of the header; `start` and `end` count from where the tensors begin."""

    start: int
    end: int
    name: str
    shape: tuple[int, ...]
    dtype: str


def _tensor(name: str, entry: Any) -> _Tensor:
    """ValueError where its bytes are not as many as its shape asks for."""
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [start, end]}:
            pass
        case _:
            raise ValueError(f"{name}: expected a dtype, a shape and offsets, got {str(entry)[:80]}")
    if not all(type(number) is int and number >= 0 for number in (*shape, start, end)):
        raise ValueError(f"{name}: expected whole numbers from 0 on, got {str(entry)[:80]}")
    size = _BYTES.get(dtype)
    if size and end - start != size * math.prod(shape):
        raise ValueError(f"{name}: {end - start} bytes are not {dtype} {shape}")
    return _Tensor(start, end, name, tuple(shape), dtype)


def _end(tensors: list[_Tensor]) -> int:
    """Where the last tensor's bytes end; ValueError unless each begins where one ends, as the library wants it."""
    end = 0
    for tensor in sorted(tensors):
        if tensor.start != end or tensor.end < end:
            raise ValueError(
                f"{tensor.name}: begins at byte {tensor.start} of the tensors, expected {end}: they overlap"
            )
        end = tensor.end
    return end


def foreign_format(start: bytes) -> str | None:
    """What a file is that starts so and is no .safetensors file, and what to do; None for what nobody takes for one."""
    is_zip = start.startswith(b"PK") and len(start) > _ENTRY and b"/data.pkl" not in start  # torch's first entry
    if is_zip or start.startswith(_ARCHIVES):
        return "it is an archive; unpack it, and name the file that was in it"
    if start.startswith((b"PK", b"\x80")):
        return (
            "it is a PyTorch pickle, which can run code when it is opened; convert it to .safetensors where it is from"
        )
    if start.startswith(b"GGUF"):
        return "it is a GGUF file; give it a name that ends in .gguf"
    if start.startswith(b"version "):
        return "it is a pointer of git-lfs, not the file; `git lfs pull` where it was cloned fetches that"
    if start.lstrip().lower().startswith((b"<!", b"<html", b"<?xml", b"<head")):
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
    """What changes when a file is replaced or written to, whatever its times are set to afterwards.

    Absolute path, size in bytes, times of the last change of content and of anything (ctime) in ns, inode.
    """
    stat = Path(path).stat()
    return [str(Path(path).absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
