"""The tensors of a .safetensors file, plain or with ComfyUI's scaled 8-bit weights. Knows no model's names.

A scaled weight is `X.weight` in float8 beside its scale in float32: `X.weight_scale`, or `X.scale_weight` in older
files, which a tensor `scaled_fp8` marks. The scale is one number, of shape (), (1,) or (1, 1), or one a row, of shape
(rows,) or (rows, 1), as compressed-tensors writes them. The values are weight · scale, computed in float32 and rounded
once, to the dtype asked for. `X.input_scale` (older: `X.scale_input`) is for 8-bit matrix multiplication, which is not
done here: known, not used. Newer files name each layer's format, in `X.comfy_quant` (JSON as bytes) or for all layers
in the header's `_quantization_metadata`. See ComfyUI's QUANTIZATION.md, and `convert_old_quants` in its comfy/utils.py.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from darkroom.errors import CheckpointError
from darkroom.files.weight_file import Header, read_header
from darkroom.render.weights.tensor_file import READ, read_rows

_SCALES = (".weight_scale", ".scale_weight")
_NOT_USED = (".input_scale", ".scale_input")  # scales of activations
_MARKER = "scaled_fp8"  # with or without a prefix
_FORMATS = ("float8_e4m3fn", "float8_e5m2")


@dataclass(frozen=True)
class PlainTensor:
    """A tensor that is stored as it is meant, in whatever float dtype."""

    file: Path
    key: str
    shape: tuple[int, ...]

    def read(self, rows: slice) -> torch.Tensor:
        """These rows, perhaps as a view of the mapped file."""
        return read_rows(self.file, self.key, rows)


@dataclass(frozen=True)
class ScaledTensor:
    """A weight in 8 bits with a scale for all of it, or one a row."""

    file: Path
    key: str
    shape: tuple[int, ...]
    scale: str  # its key
    by_row: bool

    def read(self, rows: slice) -> torch.Tensor:
        """These rows dequantised, float32 in fresh memory."""
        scale = read_rows(self.file, self.scale, rows if self.by_row else slice(None)).to(torch.float32)
        values = read_rows(self.file, self.key, rows).to(torch.float32, copy=True)
        return values.mul_(scale.reshape(-1, *(1,) * (len(self.shape) - 1)) if self.by_row else scale.reshape(()))


def safetensors_tensors(path: Path) -> dict[str, PlainTensor | ScaledTensor]:
    """Every tensor of a file by key, a scaled weight with its companions as one.

    CheckpointError if the file is missing, not whole, or quantised in another way. A companion of no weight stays a
    tensor of its own, so that whoever accounts for the tensors finds it left over.
    """
    header = read_header(path)
    formats = _formats(path, header)
    scales = {
        f"{layer}.weight": key
        for key in header.shapes
        for layer in [_layer(key, _SCALES)]
        if layer and f"{layer}.weight" in header.shapes
    }
    _refuse_unread(path, header, formats, scales)
    companions = {*scales.values(), *(f"{layer}.comfy_quant" for layer in formats)}
    companions |= {key for key in header.shapes if f"{_layer(key, _NOT_USED)}.weight" in scales}
    companions |= {key for key in header.shapes if scales and key.rpartition(".")[2] == _MARKER}
    return {
        key: _scaled(path, header, key, scales[key]) if key in scales else PlainTensor(path, key, shape)
        for key, shape in header.shapes.items()
        if key not in companions
    }


def _scaled(path: Path, header: Header, key: str, scale: str) -> ScaledTensor:
    """CheckpointError for a scale that is neither one number nor one a row."""
    shape, found = header.shapes[key], header.shapes[scale]
    rows = shape[0] if shape else 1
    if found not in ((), (1,), (1, 1), (rows,), (rows, 1)):
        raise CheckpointError(
            f"{path}: {scale}: expected one number, or one for each of {rows} rows, got shape {list(found)}; scales of "
            "blocks are not read: use the file with one scale a weight, or the bfloat16 file"
        )
    return ScaledTensor(path, key, shape, scale, by_row=math.prod(found) > 1)


def _layer(key: str, endings: tuple[str, ...]) -> str | None:
    """The layer whose companion a key is, None for another key."""
    return next((key.removesuffix(ending) for ending in endings if key.endswith(ending)), None)


def _formats(path: Path, header: Header) -> dict[str, str]:
    """The format of each layer that the file names one for."""
    try:
        layers: dict[str, Any] = json.loads(header.metadata.get("_quantization_metadata", "{}")).get("layers", {})
        if marked := [key for key in header.shapes if key.endswith(".comfy_quant")]:
            for key in marked:
                layers[key.removesuffix(".comfy_quant")] = json.loads(bytes(read_rows(path, key).tolist()))
        return {layer: str(values["format"]) for layer, values in layers.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: its quantised layers cannot be understood (comfy_quant: {error!r})") from error


def _refuse_unread(path: Path, header: Header, formats: dict[str, str], scales: dict[str, str]) -> None:
    """CheckpointError unless every weight is in a format that is read, and every one named as scaled has a scale."""
    if foreign := sorted(set(formats.values()) - set(_FORMATS)):
        raise CheckpointError(
            f"{path}: quantised as {', '.join(foreign)}, which cannot be read; "
            f"expected {' or '.join(_FORMATS)} with scales, or the bfloat16 file"
        )
    for key, dtype in header.dtypes.items():
        if key.endswith(".weight") and dtype not in READ:
            raise CheckpointError(f"{path}: {key}: is stored as {dtype}, which cannot be read; use the bfloat16 file")
    for layer in formats:
        if f"{layer}.weight" in header.shapes and f"{layer}.weight" not in scales:
            raise CheckpointError(f"{path}: lacks {layer}.weight_scale; is its download complete?")
