"""The tensors of a .gguf file: names, shapes, and reading rows of one, dequantised. Knows no model's names.

Format: github.com/ggml-org/ggml, docs/gguf.md; dimensions are stored innermost first.
"""

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import gguf
import numpy as np
import torch

from darkroom.errors import CheckpointError
from darkroom.files.weight_file import foreign_format

_MAGIC = b"GGUF"


@dataclass(frozen=True)
class GgufTensor:
    """A tensor of a .gguf file, its rows one after another from `offset` (bytes)."""

    file: Path
    key: str
    shape: tuple[int, ...]
    kind: gguf.GGMLQuantizationType
    offset: int

    def read(self, rows: slice) -> torch.Tensor:
        """These rows in fresh memory, dequantised to float32."""
        # A vector may be quantised in blocks of several values, so it is read whole.
        stored = self.shape if len(self.shape) > 1 else (1, *self.shape)
        first, last, _ = rows.indices(stored[0]) if len(self.shape) > 1 else (0, 1, 1)
        block, block_bytes = gguf.GGML_QUANT_SIZES[self.kind]
        row_bytes = math.prod(stored[1:]) // block * block_bytes
        start, size = self.offset + first * row_bytes, (last - first) * row_bytes
        data = np.fromfile(self.file, np.uint8, size, offset=start).reshape(last - first, row_bytes)
        values = torch.from_numpy(gguf.dequantize(data, self.kind)).reshape(last - first, *stored[1:])
        return values if len(self.shape) > 1 else values[0][rows]


def gguf_tensors(path: Path) -> dict[str, GgufTensor]:
    """Every tensor of a .gguf file by key; CheckpointError if it is missing, not whole or of an unknown kind."""
    tensors = {
        str(tensor.name): GgufTensor(
            path, str(tensor.name), tuple(map(int, reversed(tensor.shape))), tensor.tensor_type, tensor.data_offset
        )
        for tensor in _reader(path).tensors
    }
    unknown = sorted({tensor.kind.name for tensor in tensors.values() if not _dequantised(tensor.kind)})
    if unknown:
        raise CheckpointError(f"{path}: holds tensors of type {', '.join(unknown)}, which cannot be read; use Q8_0")
    return tensors


def gguf_architecture(path: Path) -> str | None:
    """general.architecture: "flux" for FLUX.2 as well, "llama", "qwen3" … for language models, None where left out."""
    field = _reader(path).get_field("general.architecture")
    return None if field is None else str(field.contents())


def _reader(path: Path) -> gguf.GGUFReader:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    with path.open("rb") as file:
        start = file.read(8)
    if start[:4] != _MAGIC:
        raise CheckpointError(f"{path}: not a .gguf file: {foreign_format(start) or 'it does not start with GGUF'}")
    try:
        return gguf.GGUFReader(path)
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise CheckpointError(f"{path}: truncated or damaged, copy it again ({error})") from error


@cache
def _dequantised(kind: gguf.GGMLQuantizationType) -> bool:
    """Whether the gguf package can dequantise this kind: tried on one block."""
    try:
        gguf.dequantize(np.zeros((1, gguf.GGML_QUANT_SIZES[kind][1]), np.uint8), kind)
    except NotImplementedError:
        return False
    return True
