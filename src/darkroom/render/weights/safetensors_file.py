"""The tensors of a .safetensors file: reading rows of one, dequantised where it has scales. Knows no model's names.

What a file holds, and in which formats, base_files/stored_weights.py tells by its header. Values are computed in
float32 and rounded once, to the dtype asked for.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from darkroom.base_files.stored_weights import (
    BLOCK,
    TILE_COLUMNS,
    TILE_ROWS,
    Fp8Scale,
    Nvfp4Scales,
    StoredWeight,
    stored_weights,
)
from darkroom.render.weights.tensor_file import ReadBuffer, read_rows

_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)  # by its 4 bits
_TILE_LANES = 32  # rows of a tile that follow one another in the file; the four rows that are 32 apart lie side by side


@dataclass(frozen=True)
class PlainTensor:
    """A tensor that is stored as it is meant, in whatever float dtype."""

    file: Path
    key: str
    shape: tuple[int, ...]

    def read(self, rows: slice, buffer: ReadBuffer | None = None) -> torch.Tensor:
        """These rows, perhaps as a view of the mapped file, or of the buffer."""
        return read_rows(self.file, self.key, rows, buffer)


@dataclass(frozen=True)
class ScaledTensor:
    """A weight in 8 bits with a scale for all of it, or one a row."""

    file: Path
    key: str
    shape: tuple[int, ...]
    scale: Fp8Scale

    def read(self, rows: slice, buffer: ReadBuffer | None = None) -> torch.Tensor:
        """These rows dequantised, float32 in fresh memory."""
        by_row = self.scale.by_row
        scale = read_rows(self.file, self.scale.key, rows if by_row else slice(None)).to(torch.float32)
        values = read_rows(self.file, self.key, rows, buffer).to(torch.float32, copy=True)
        return values.mul_(scale.reshape(-1, *(1,) * (len(self.shape) - 1)) if by_row else scale.reshape(()))


@dataclass(frozen=True)
class Nvfp4Tensor:
    """A weight of two 4-bit numbers a byte, with a scale for each 16 values of a row and one for all."""

    file: Path
    key: str
    shape: tuple[int, ...]  # (rows, columns) of the values
    scales: Nvfp4Scales

    def read(self, rows: slice, buffer: ReadBuffer | None = None) -> torch.Tensor:
        """These rows dequantised, float32 in fresh memory."""
        packed = read_rows(self.file, self.key, rows, buffer)
        numbers = torch.nn.functional.embedding(packed.int(), _pairs(self.scales.is_tiled))
        values = numbers.reshape(len(packed), -1, BLOCK)
        values.mul_(self._block_scales(rows).to(torch.float32).unsqueeze(-1))
        whole = read_rows(self.file, self.scales.whole).to(torch.float32).reshape(())
        return values.mul_(whole).reshape(len(packed), -1)

    def _block_scales(self, rows: slice) -> torch.Tensor:
        """(rows, blocks of a row), in float8."""
        blocks = self.shape[1] // BLOCK
        if not self.scales.is_tiled:
            return read_rows(self.file, self.scales.blocks).reshape(-1, blocks)[rows]
        tiles = -(-self.shape[0] // TILE_ROWS), -(-blocks // TILE_COLUMNS)
        stored = read_rows(self.file, self.scales.blocks).reshape(
            *tiles, _TILE_LANES, TILE_ROWS // _TILE_LANES, TILE_COLUMNS
        )
        in_order = stored.permute(0, 3, 2, 1, 4).reshape(tiles[0] * TILE_ROWS, tiles[1] * TILE_COLUMNS)
        return in_order[: self.shape[0], :blocks][rows]


SafetensorsTensor = PlainTensor | ScaledTensor | Nvfp4Tensor


def safetensors_tensors(path: Path) -> dict[str, SafetensorsTensor]:
    """Every tensor of a file by key, a scaled weight with its companions as one; errors as `stored_weights`."""
    return {key: _tensor(path, key, weight) for key, weight in stored_weights(path).items()}


def _tensor(path: Path, key: str, weight: StoredWeight) -> SafetensorsTensor:
    match weight.scales:
        case Fp8Scale() as scale:
            return ScaledTensor(path, key, weight.shape, scale)
        case Nvfp4Scales() as scales:
            return Nvfp4Tensor(path, key, weight.shape, scales)
        case None:
            return PlainTensor(path, key, weight.shape)


def _pairs(is_high_first: bool) -> torch.Tensor:
    """(256, 2): the two numbers in each byte."""
    number, byte = torch.tensor(_E2M1), torch.arange(256)
    halves = [number[byte >> 4], number[byte & 15]]
    return torch.stack(halves if is_high_first else halves[::-1], dim=1)
