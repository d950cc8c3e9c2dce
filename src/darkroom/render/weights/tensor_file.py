"""Reads what a .safetensors file has stored: rows of one tensor, or all tensors of a small file in memory.

A large file is mapped. Where its file system maps none (FUSE, network and mounted Windows file systems give ENODEV),
and into a buffer that is kept, the same rows are read from it.
"""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load

from darkroom.errors import WeightFileError
from darkroom.files.weight_file import Header, read_header
from darkroom.filesystem.refusals import can_map

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "U8": torch.uint8,
}


_PIECE = 8 * 2**20  # bytes that one thread reads at a time


class ReadBuffer:
    """Memory for reading one tensor after the other: the next one takes the place of the last.

    What costs most of such a read, touching fresh pages, is done once; several threads fill it, as disks like it.
    """

    def __init__(self, threads: int = 4) -> None:
        self._memory = torch.empty(0, dtype=torch.uint8)
        self._headers: dict[Path, Header] = {}
        self._threads = ThreadPoolExecutor(threads)

    def read_rows(self, path: Path, key: str, rows: slice) -> torch.Tensor:
        """As `read_rows`, in this buffer; of a file that stays the same for as long as the buffer is used."""
        if path not in self._headers:
            self._headers[path] = read_header(path)
        span = _span(self._headers[path], key, rows)
        if self._memory.numel() < span.size:
            self._memory = torch.empty(0, dtype=torch.uint8)  # not beside the larger one
            self._memory = torch.empty(span.size, dtype=torch.uint8)
        with path.open("rb") as file:
            pieces = range(0, span.size, _PIECE)
            got = sum(self._threads.map(lambda begin: self._fill(file.fileno(), span, begin), pieces))
        return _tensor(path, key, span, self._memory[: span.size], got)

    def _fill(self, file: int, span: "_Span", begin: int) -> int:
        """The bytes read of one piece: all of them, or up to the end of a file that is too short."""
        target = self._memory[begin : min(begin + _PIECE, span.size)].numpy().data
        done = 0
        while done < len(target) and (got := os.preadv(file, [target[done:]], span.start + begin + done)):
            done += got
        return done


def read_rows(path: Path, key: str, rows: slice = slice(None), buffer: ReadBuffer | None = None) -> torch.Tensor:
    """These rows (along the first dimension) of one tensor, in the file's dtype; perhaps a view of the mapped file.

    In `buffer`, if there is one. A tensor without dimensions is read whole. WeightFileError where the file is not whole
    any more.
    """
    if buffer is not None:
        return buffer.read_rows(path, key, rows)
    if not can_map(path):
        return _read_rows(path, read_header(path), key, rows)
    # Opened anew each time, so that no mapped page stays in memory beside the weights made from it.
    with safe_open(path, framework="pt") as file:
        tensor: torch.Tensor = file.get_tensor(key)
    return tensor[rows] if tensor.ndim else tensor


def tensors_in(content: bytes, path: str | Path) -> dict[str, torch.Tensor]:
    """Every tensor of a small file, in memory of its own: as torch allocates it, whatever the file's length of header.

    `content`: of a file whose header has been read. WeightFileError where it is not whole.
    """
    try:
        return {key: tensor.clone() for key, tensor in load(content).items()}
    except SafetensorError as error:
        raise WeightFileError(f"{path}: truncated or damaged ({error}); copy it again") from error


def _read_rows(path: Path, header: Header, key: str, rows: slice) -> torch.Tensor:
    span = _span(header, key, rows)
    data = torch.empty(span.size, dtype=torch.uint8)
    with path.open("rb") as file:
        file.seek(span.start)
        got = file.readinto(data.numpy().data)
    return _tensor(path, key, span, data, got)


@dataclass(frozen=True)
class _Span:
    """Where rows of a tensor lie in its file, and what they are. `start` and `size` in bytes."""

    start: int
    size: int
    dtype: torch.dtype
    shape: tuple[int, ...]


def _span(header: Header, key: str, rows: slice) -> _Span:
    shape, dtype = header.shapes[key], _DTYPES[header.dtypes[key]]
    first, last, _ = rows.indices(shape[0]) if shape else (0, 1, 1)
    row_bytes = math.prod(shape[1:]) * dtype.itemsize
    wanted = (last - first, *shape[1:]) if shape else ()
    return _Span(header.starts[key] + first * row_bytes, (last - first) * row_bytes, dtype, wanted)


def _tensor(path: Path, key: str, span: _Span, data: torch.Tensor, got: int) -> torch.Tensor:
    """The bytes as what they are; WeightFileError where they are fewer than there should be."""
    if got != span.size:
        raise WeightFileError(f"{path}: {key}: expected {span.size} bytes, got {got}; copy the file again")
    return data.view(span.dtype).reshape(span.shape)
