"""Reads what a .safetensors file has stored: rows of one tensor, or all tensors of a small file.

A large file is mapped. Where its file system maps none (FUSE, network and mounted Windows file systems give ENODEV),
the same rows are read from it.
"""

import math
from pathlib import Path

import torch
from safetensors import safe_open
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


def read_rows(path: Path, key: str, rows: slice = slice(None)) -> torch.Tensor:
    """These rows (along the first dimension) of one tensor, in the file's dtype; perhaps a view of the mapped file.

    A tensor without dimensions is read whole. WeightFileError where the file is not whole any more.
    """
    if not can_map(path):
        return _read_rows(path, read_header(path), key, rows)
    # Opened anew each time, so that no mapped page stays in memory beside the weights made from it.
    with safe_open(path, framework="pt") as file:
        tensor: torch.Tensor = file.get_tensor(key)
    return tensor[rows] if tensor.ndim else tensor


def read_all(path: str | Path) -> dict[str, torch.Tensor]:
    """Every tensor of a small file, in memory of its own: as torch allocates it, whatever the file's length of header.

    OSError where it cannot be read.
    """
    return {key: tensor.clone() for key, tensor in load(Path(path).read_bytes()).items()}


def _read_rows(path: Path, header: Header, key: str, rows: slice) -> torch.Tensor:
    shape, dtype = header.shapes[key], _DTYPES[header.dtypes[key]]
    first, last, _ = rows.indices(shape[0]) if shape else (0, 1, 1)
    row_bytes = math.prod(shape[1:]) * dtype.itemsize
    data = torch.empty((last - first) * row_bytes, dtype=torch.uint8)
    with path.open("rb") as file:
        file.seek(header.starts[key] + first * row_bytes)
        got = file.readinto(data.numpy().data)
    if got != len(data):
        raise WeightFileError(f"{path}: {key}: expected {len(data)} bytes, got {got}; copy the file again")
    return data.view(dtype).reshape((last - first, *shape[1:]) if shape else ())
