"""The header of a .gguf file: its tensors' names, shapes, kinds and places, and the model's architecture.

Read, not mapped, so it works where files cannot be. Format: github.com/ggml-org/ggml, docs/gguf.md; versions 2 and 3,
little-endian; dimensions are stored innermost first. The gguf package is imported by the function that needs it.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from darkroom.errors import WeightFileError
from darkroom.files.regular_file import ANY_SIZE, open_regular
from darkroom.files.weight_file import check_finished, foreign_format

if TYPE_CHECKING:
    import gguf

_NO_GGUF = "it does not start with GGUF; if it is of another kind, give it that ending, such as .safetensors"
_MAGIC, _VERSIONS = b"GGUF", (2, 3)
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_ALIGNMENT = 32  # bytes, where the file names none
_MOST_DIMENSIONS = 8
# Of a header: the largest vocabularies have 800,000 texts, tokens and merges together.
_MOST_ENTRIES, _LONGEST_TEXT = 1_000_000, 16_000_000  # bytes


@dataclass(frozen=True)
class GgufEntry:
    """One tensor. `shape`: outermost first; `start`: where its bytes begin in the file."""

    name: str
    shape: tuple[int, ...]
    kind: gguf.GGMLQuantizationType
    start: int
    size: int  # bytes


@dataclass(frozen=True)
class GgufHeader:
    """`architecture`: "flux" for FLUX.2 as well, "llama", "qwen3" … for language models, None where left out.

    `metadata`: single values by key; of an array None.
    """

    architecture: str | None
    tensors: tuple[GgufEntry, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)


def read_gguf_header(path: Path) -> GgufHeader:
    """The header of a whole .gguf file; WeightFileError if it is missing, truncated or something else."""
    check_finished(path)
    with open_regular(path, ANY_SIZE, WeightFileError) as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(8)
        if start[:4] != _MAGIC:
            raise WeightFileError(f"{path}: not a .gguf file: {foreign_format(start) or _NO_GGUF}")
        file.seek(4)
        try:
            header = _header(_Reader(file, size))
            _check(header.tensors, size)
        except (ValueError, OverflowError) as error:
            raise WeightFileError(f"{path}: truncated or damaged, copy it again ({error})") from error
    return header


def _header(reader: _Reader) -> GgufHeader:
    version = reader.scalar("I")
    if version not in _VERSIONS:
        raise ValueError(f"expected version {' or '.join(map(str, _VERSIONS))}, little-endian, got {version}")
    tensors, keys = reader.scalar("Q"), reader.scalar("Q")
    metadata = {}
    for _ in range(keys):
        key = reader.text()  # comes before its value
        metadata[key] = reader.value(reader.scalar("I"))
    infos = [_info(reader) for _ in range(tensors)]
    alignment = metadata.get("general.alignment", _ALIGNMENT)
    if type(alignment) is not int or not 1 <= alignment <= 2**16:
        raise ValueError(f"general.alignment: expected a number of bytes, got {alignment}")
    begin = math.ceil(reader.place / alignment) * alignment
    architecture = metadata.get("general.architecture")
    entries = tuple(_entry(begin, *each) for each in infos)
    return GgufHeader(None if architecture is None else str(architecture), entries, metadata)


def unread_kinds(header: GgufHeader) -> list[str]:
    """The names of the types of its tensors that the gguf package does not dequantise."""
    return sorted(kind.name for kind in {tensor.kind for tensor in header.tensors} if not _dequantised(kind))


@cache
def _dequantised(kind: gguf.GGMLQuantizationType) -> bool:
    """Tried on one block."""
    import gguf
    import numpy as np

    try:
        gguf.dequantize(np.zeros((1, gguf.GGML_QUANT_SIZES[kind][1]), np.uint8), kind)
    except NotImplementedError:
        return False
    return True


def _info(reader: _Reader) -> tuple[str, tuple[int, ...], int, int]:
    name, count = reader.text(), reader.scalar("I")
    if count > _MOST_DIMENSIONS:
        raise ValueError(f"{name}: has {count} dimensions")
    shape = tuple(reader.scalar("Q") for _ in range(count))
    return name, shape[::-1], reader.scalar("I"), reader.scalar("Q")


def _entry(begin: int, name: str, shape: tuple[int, ...], number: int, offset: int) -> GgufEntry:
    import gguf  # slow, and most people have no such file

    kind = gguf.GGMLQuantizationType(number)
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    return GgufEntry(name, shape, kind, begin + offset, math.prod(shape) // block * block_bytes)


def _check(tensors: tuple[GgufEntry, ...], size: int) -> None:
    if len({tensor.name for tensor in tensors}) < len(tensors):
        raise ValueError("two tensors have one name")
    for tensor in tensors:
        if tensor.start + tensor.size > size:
            raise ValueError(f"{tensor.name} ends at byte {tensor.start + tensor.size}, the file at {size}")


class _Reader:
    """Reads on from where the file stands; ValueError at its end."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size, self.place = file, size, file.tell()
        self._entries = 0  # that were read so far: texts, and what has one

    def scalar(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self._bytes(struct.calcsize(f"<{code}")))[0]

    def text(self) -> str:
        self._entries += 1
        length = self.scalar("Q")
        if self._entries > _MOST_ENTRIES or length > _LONGEST_TEXT:
            raise ValueError(f"more than {_MOST_ENTRIES} entries, or one of more than {_LONGEST_TEXT} bytes")
        return self._bytes(length).decode()

    def value(self, kind: int) -> Any:
        """One value of the metadata; of an array, whose values nobody here asks for, None."""
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self.scalar(self._code(kind))
        items, count = self.scalar("I"), self.scalar("Q")
        if items == _STRING:
            for _ in range(count):
                self.text()
        else:  # no program makes arrays of arrays
            self._skip(count * struct.calcsize(f"<{self._code(items)}"))
        return None

    @staticmethod
    def _code(kind: int) -> str:
        if kind not in _SCALARS:
            raise ValueError(f"metadata of kind {kind}")
        return _SCALARS[kind]

    def _bytes(self, count: int) -> bytes:
        self._pass(count)
        return self._file.read(count)

    def _skip(self, count: int) -> None:
        self._pass(count)
        self._file.seek(count, os.SEEK_CUR)

    def _pass(self, count: int) -> None:
        if count > self._size - self.place:
            raise ValueError(f"{count} bytes are expected at {self.place}, the file ends at {self._size}")
        self.place += count
