"""What each tensor of a base model's .safetensors file stands for: a plain one, or a weight in 8 or 4 bits with scales.

Told by the header, and by ComfyUI's `comfy_quant` tensors, a few bytes of JSON each. Knows no model's names.

8 bits: `X.weight` in float8 beside its scale in float32: `X.weight_scale`, or `X.scale_weight` in older files, which a
tensor `scaled_fp8` marks. The scale is one number, of shape (), (1,) or (1, 1), or one a row, of shape (rows,) or
(rows, 1), as compressed-tensors writes them.

4 bits: nvfp4, two e2m1 numbers a byte in `X.weight` (rows, columns / 2), a scale in float8_e4m3fn for each block of 16
of a row in `X.weight_scale`, and one in float32 for all in `X.weight_scale_2`. In two layouts, which shapes do not tell
apart: `tiled`, as ComfyUI reads it and black-forest-labs publishes it: the first number in the high half of the byte,
block scales in cuBLAS's tiles of 128 x 4 (comfy_kitchen, backends/eager/quantization.py and float_utils.py); and flat,
as a folder that NVIDIA's ModelOpt wrote: the first in the low half, a row of scales for each row
(modelopt/torch/quantization/qtensor/nvfp4_tensor.py). The same weights in the wrong one are noise: what does not say
which it has is refused.

`X.input_scale` (older: `X.scale_input`) is for matrix multiplication in few bits, which is not done here: known, not
used. Newer files name each layer's format, in `X.comfy_quant` or for all layers in the header's
`_quantization_metadata`. See ComfyUI's QUANTIZATION.md, comfy/quant_ops.py, and `convert_old_quants` in comfy/utils.py.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.display import named
from darkroom.errors import CheckpointError
from darkroom.files.json_text import parse_json
from darkroom.files.weight_file import Header, read_header

READ = frozenset(("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "I64"))  # dtypes; I64: counters beside weights
BLOCK, TILE_ROWS, TILE_COLUMNS = 16, 128, 4  # of nvfp4: values with one scale; scales in a tile
_SCALES = (".weight_scale", ".scale_weight")
_NOT_USED = (".input_scale", ".scale_input")  # scales of activations
_MARKER = "scaled_fp8"  # with or without a prefix
_FP8, _NVFP4 = ("float8_e4m3fn", "float8_e5m2"), "nvfp4"
_ADVICE = "use the file with float8 or nvfp4 weights, or the bfloat16 file"


@dataclass(frozen=True)
class Fp8Scale:
    """The key of a scale: one number, or one a row."""

    key: str
    by_row: bool


@dataclass(frozen=True)
class Nvfp4Scales:
    """The keys of the scales of an nvfp4 weight, of its blocks and of all, and which layout it has."""

    blocks: str
    whole: str
    is_tiled: bool


@dataclass(frozen=True)
class StoredWeight:
    """A tensor as it is meant. `shape`: of its values, however they are packed; `scales`: None for a plain one."""

    shape: tuple[int, ...]
    scales: Fp8Scale | Nvfp4Scales | None = None


def stored_weights(path: Path) -> dict[str, StoredWeight]:
    """Every tensor of a file by key, a scaled weight with its companions as one.

    CheckpointError or WeightFileError if the file is missing, not whole, or quantised in another way. A companion of
    no weight stays a tensor of its own, so that whoever accounts for the tensors finds it left over.
    """
    header = read_header(path)
    formats = _formats(path, header)
    scales = _scales(header)
    _refuse_unread(path, header, formats, scales)
    packed = [key for key in scales if header.dtypes[key] == "U8"]
    is_tiled = _is_tiled(path, header, formats, packed) if packed else False
    weights = {
        key: _nvfp4(path, header, key, is_tiled) if key in packed else _fp8(path, header, key, scale)
        for key, scale in scales.items()
    }
    companions = {f"{layer}.comfy_quant" for layer in formats} | set(scales.values())
    companions |= {f"{key}_scale_2" for key in packed}
    companions |= {key for key in header.shapes if f"{_layer(key, _NOT_USED)}.weight" in scales}
    companions |= {key for key in header.shapes if scales and key.rpartition(".")[2] == _MARKER}
    return {
        key: weights.get(key) or StoredWeight(shape) for key, shape in header.shapes.items() if key not in companions
    }


def quantization_of(path: Path) -> str | None:
    """In how few bits a file has weights: "8-bit float", "nvfp4"; None for one of 16 bits and more."""
    if any(isinstance(weight.scales, Nvfp4Scales) for weight in stored_weights(path).values()):
        return _NVFP4
    return "8-bit float" if any(dtype.startswith("F8") for dtype in read_header(path).dtypes.values()) else None


def _scales(header: Header) -> dict[str, str]:
    """Weights that have a scale, and its key."""
    return {
        f"{layer}.weight": key
        for key in header.shapes
        if (layer := _layer(key, _SCALES)) and f"{layer}.weight" in header.shapes
    }


def _layer(key: str, endings: tuple[str, ...]) -> str | None:
    """The layer whose companion a key is, None for another key."""
    return next((key.removesuffix(ending) for ending in endings if key.endswith(ending)), None)


def _formats(path: Path, header: Header) -> dict[str, str]:
    """The format of each layer that the file names one for."""
    try:
        layers: dict[str, Any] = parse_json(header.metadata.get("_quantization_metadata", "{}")).get("layers", {})
        with path.open("rb") as file:
            for key in (key for key in header.shapes if key.endswith(".comfy_quant")):
                file.seek(header.starts[key])
                layers[key.removesuffix(".comfy_quant")] = parse_json(file.read(math.prod(header.shapes[key])).decode())
        return {
            layer: f"{values['format']}{' with convrot' if values.get('convrot') else ''}"
            for layer, values in layers.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: its quantised layers cannot be understood (comfy_quant: {error!r})") from error


def _refuse_unread(path: Path, header: Header, formats: Mapping[str, str], scales: Mapping[str, str]) -> None:
    """CheckpointError unless every weight is in a format that is read, and every one named as scaled has a scale."""
    foreign = set(formats.values()) - {*_FP8, _NVFP4}
    foreign |= {"mxfp8" for key, scale in scales.items() if _is_mxfp8(header, key, scale)}
    foreign |= {"bitsandbytes' nf4 or fp4" for key in header.shapes if ".quant_state.bitsandbytes__" in key}
    if foreign:
        raise CheckpointError(f"{path}: quantised as {named(sorted(foreign))}, which cannot be read; {_ADVICE}")
    for key, dtype in header.dtypes.items():
        if key.endswith(".weight") and dtype not in READ and not (dtype == "U8" and key in scales):
            raise CheckpointError(f"{path}: {key}: is stored as {dtype}, which cannot be read; {_ADVICE}")
    for layer in formats:
        if f"{layer}.weight" in header.shapes and f"{layer}.weight" not in scales:
            raise CheckpointError(f"{path}: lacks {layer}.weight_scale; is its download complete?")


def _is_mxfp8(header: Header, key: str, scale: str) -> bool:
    """True for float8 with a scale of 8 exponent bits for each 32 values."""
    return header.dtypes[key].startswith("F8") and header.dtypes[scale] in ("U8", "F8_E8M0")


def _fp8(path: Path, header: Header, key: str, scale: str) -> StoredWeight:
    """CheckpointError for a scale that is neither one number nor one a row."""
    shape, found = header.shapes[key], header.shapes[scale]
    rows = shape[0] if shape else 1
    if found not in ((), (1,), (1, 1), (rows,), (rows, 1)):
        raise CheckpointError(
            f"{path}: {scale}: expected one number, or one for each of {rows} rows, got shape {list(found)}; scales of "
            "blocks are not read: use the file with one scale a weight, or the bfloat16 file"
        )
    return StoredWeight(shape, Fp8Scale(scale, by_row=math.prod(found) > 1))


def _nvfp4(path: Path, header: Header, key: str, is_tiled: bool) -> StoredWeight:
    """CheckpointError for companions that are missing or do not fit."""
    blocks, whole, shape = f"{key}_scale", f"{key}_scale_2", header.shapes[key]
    if len(shape) != 2 or shape[1] * 2 % BLOCK:
        raise CheckpointError(f"{path}: {key}: expected rows of nvfp4 in blocks of {BLOCK}, got shape {list(shape)}")
    rows, columns = shape[0], shape[1] * 2
    tiled = (_up_to(rows, TILE_ROWS), _up_to(columns // BLOCK, TILE_COLUMNS))
    expected = {
        blocks: ("F8_E4M3", tiled if is_tiled else (rows, columns // BLOCK)),
        whole: ("F32", ()),
    }
    for name, (dtype, wanted) in expected.items():
        found = header.dtypes.get(name), math.prod(header.shapes.get(name, (0,)))
        if found != (dtype, math.prod(wanted)):
            got = f"{found[0]} {list(header.shapes[name])}" if name in header.shapes else "none"
            raise CheckpointError(
                f"{path}: {name}: expected {dtype} {list(wanted)} beside an nvfp4 weight, got {got}; {_ADVICE}"
            )
    return StoredWeight((rows, columns), Nvfp4Scales(blocks, whole, is_tiled))


def _up_to(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def _is_tiled(path: Path, header: Header, formats: Mapping[str, str], packed: list[str]) -> bool:
    """Which layout nvfp4 weights have; CheckpointError where nothing says so."""
    is_by_modelopt = "quantization_config" in header.metadata  # in the header: of exports that it went over once more
    if _NVFP4 in formats.values() and not is_by_modelopt:
        return True
    if not formats and not is_by_modelopt and _is_modelopt_folder(path.parent):
        return False
    raise CheckpointError(
        f"{path}: {named(packed)}: two 4-bit numbers a byte, in a layout that the file does not name; nvfp4 is read as "
        "black-forest-labs and ComfyUI name it (comfy_quant, _quantization_metadata), and from a folder as ModelOpt "
        "exports it (quantization_config in its config.json); or use the bfloat16 file"
    )


def _is_modelopt_folder(folder: Path) -> bool:
    try:
        config = parse_json((folder / "config.json").read_text(encoding="utf-8"))["quantization_config"]
        return (config["quant_method"], config["quant_algo"]) == ("modelopt", "NVFP4")
    except (OSError, ValueError, KeyError, TypeError):
        return False
