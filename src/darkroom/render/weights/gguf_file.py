"""The tensors of a .gguf file: reading rows of one, dequantised. Knows no model's names."""

import math
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import torch

from darkroom.base_files.gguf.header import GgufHeader, read_gguf_header, unread_kinds
from darkroom.errors import CheckpointError, WeightFileError
from darkroom.render.weights.tensor_file import ReadBuffer


@dataclass(frozen=True)
class GgufTensor:
    """A tensor of a .gguf file, its rows one after another from `offset` (bytes)."""

    file: Path
    key: str
    shape: tuple[int, ...]
    kind: gguf.GGMLQuantizationType
    offset: int

    def read(self, rows: slice, buffer: ReadBuffer | None = None) -> torch.Tensor:
        """These rows in fresh memory, dequantised to float32; the buffer stays as it is."""
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
    header = _header(path)
    if unread := unread_kinds(header):
        raise CheckpointError(f"{path}: holds tensors of type {', '.join(unread)}, which cannot be read; use Q8_0")
    return {entry.name: GgufTensor(path, entry.name, entry.shape, entry.kind, entry.start) for entry in header.tensors}


def gguf_architecture(path: Path) -> str | None:
    """general.architecture: "flux" for FLUX.2 as well, "llama", "qwen3" … for language models, None where left out."""
    return _header(path).architecture


def _header(path: Path) -> GgufHeader:
    try:
        return read_gguf_header(path)
    except WeightFileError as error:
        raise CheckpointError(str(error)) from error
