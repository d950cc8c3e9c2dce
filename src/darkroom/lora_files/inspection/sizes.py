"""How large the deltas of an adapter file are, layer by layer: their Frobenius norms, from its tensors by numpy.

A LoRA's delta is never formed: |B A|² is the sum over (BᵀB) ∘ (A Aᵀ), which is as small as its rank squared.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.errors import AdapterError
from darkroom.lora_files.file import LoraFile
from darkroom.lora_files.keys import LayerDelta
from darkroom.lora_files.tools import ALPHA

Array = np.ndarray[Any, np.dtype[Any]]
Tensors = Mapping[str, Array]  # of one module, by suffix

_DTYPES = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "F8_E4M3": "u1", "F8_E5M2": "u1"},
    **{"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1"},
}
_PIECE = 1 << 22  # numbers read at once
_RANKED = ("lora_A.weight", "lokr_w2_b", "lokr_w1_b")  # factors whose rows are the rank


@dataclass(frozen=True)
class DeltaSize:
    """Of one layer, or of several that share a module. `norm`: at strength 1, scaled by alpha / rank.

    `ranks` and `alphas`: of the layer's parts, as far as they have some; whole Kronecker factors have neither.
    """

    layers: tuple[str, ...]
    norm: float  # nan or inf where its tensors are
    ranks: tuple[int, ...]
    alphas: tuple[float, ...]

    @property
    def name(self) -> str:
        return " + ".join(self.layers)

    @property
    def is_dead(self) -> bool:
        return self.norm == 0

    @property
    def is_finite(self) -> bool:
        return bool(np.isfinite(self.norm))


def sizes_of(lora: LoraFile, deltas: Sequence[LayerDelta]) -> tuple[DeltaSize, ...]:
    """In the order of the blocks; the parts of a layer count together. Reads every tensor."""
    modules: dict[str, list[LayerDelta]] = defaultdict(list)  # by a key: those of one module share all of theirs
    for delta in deltas:
        modules[min(delta.keys.values())].append(delta)
    parts: dict[tuple[str, ...], list[DeltaSize]] = defaultdict(list)
    for places in modules.values():
        size = _size(lora, places[0], tuple(delta.place.layer for delta in places))
        parts[size.layers].append(size)
    return tuple(_joined(layers, parts[layers]) for layers in sorted(parts, key=lambda layers: _place(layers[0])))


def squared_norm(file: LoraFile, key: str) -> float:
    """Of a tensor that may be a gigabyte; AdapterError for one of another kind of numbers than those of weights."""
    with np.errstate(all="ignore"):  # as below
        return float(sum(np.sum(values * values) for values in _pieces(file, key)))


def _tensor(file: LoraFile, key: str) -> Array:
    """In float64, of its shape."""
    return np.concatenate([np.empty(0), *_pieces(file, key)]).reshape(file.shapes[key])


def _pieces(file: LoraFile, key: str) -> Iterator[Array]:
    """The numbers of a tensor in float64, a few million at a time."""
    dtype, left = file.header.dtypes[key], math.prod(file.shapes[key])
    if dtype not in _DTYPES:
        raise AdapterError(f"{file.path}: {key}: expected float32, float16 or bfloat16, got {dtype}")
    with Path(file.path).open("rb") as opened:
        opened.seek(file.header.starts[key])
        while left:
            raw = np.fromfile(opened, _DTYPES[dtype], min(left, _PIECE))
            if not raw.size:
                raise AdapterError(f"{file.path}: was cut short while it was read")
            left -= raw.size
            with np.errstate(invalid="ignore"):  # a NaN that signals
                wide = _values(raw, dtype).astype(np.float64)
            yield wide


def _values(raw: Array, dtype: str) -> Array:
    if dtype == "BF16":  # the upper half of a float32
        return (raw.astype("<u4") << 16).view("<f4")
    if dtype == "F8_E5M2":  # the upper half of a float16
        return (raw.astype("<u2") << 8).view("<f2")
    if dtype == "F8_E4M3":  # sign, 4 bits of exponent, 3 of mantissa; all of the last seven set is NaN
        exponent, mantissa = (raw >> 3).astype("<i4") & 15, (raw & 7).astype("<f8")
        size = np.where(exponent > 0, np.ldexp(1 + mantissa / 8, exponent - 7), np.ldexp(mantissa / 8, -6))
        return np.where((raw & 127) == 127, np.nan, np.where(raw > 127, -size, size))
    return raw


def _place(layer: str) -> list[tuple[bool, int, str]]:
    """Block 10 comes after block 9."""
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in layer.split(".")]


def _joined(layers: tuple[str, ...], parts: Sequence[DeltaSize]) -> DeltaSize:
    return DeltaSize(
        layers,
        float(np.sqrt(sum(part.norm**2 for part in parts))),
        tuple(sorted({rank for part in parts for rank in part.ranks})),
        tuple(sorted({alpha for part in parts for alpha in part.alphas})),
    )


def _size(lora: LoraFile, delta: LayerDelta, layers: tuple[str, ...]) -> DeltaSize:
    tensors = {suffix: _tensor(lora, key) for suffix, key in delta.keys.items()}
    rank = next((tensors[name].shape[0] for name in _RANKED if name in tensors), None)
    alpha = float(tensors[ALPHA].reshape(-1)[0]) if ALPHA in tensors else delta.alpha
    alpha = None if rank is None else alpha  # whole Kronecker factors have 9999999999 there, which is ignored
    with np.errstate(all="ignore"):  # NaN and overflow are what is looked for
        norm = _norm(tensors) * (1.0 if rank is None or alpha is None else abs(alpha) / rank)
    return DeltaSize(layers, norm, () if rank is None else (rank,), () if alpha is None else (alpha,))


def _norm(tensors: Tensors) -> float:
    if "diff" in tensors:
        return float(np.linalg.norm(tensors["diff"]))
    if "lora_A.weight" in tensors:
        return _norm_of_product(tensors["lora_B.weight"], tensors["lora_A.weight"])
    return _norm_of_factor(tensors, "lokr_w1") * _norm_of_factor(tensors, "lokr_w2")


def _norm_of_factor(tensors: Tensors, name: str) -> float:
    if name in tensors:
        return float(np.linalg.norm(tensors[name]))
    return _norm_of_product(tensors[f"{name}_a"], tensors[f"{name}_b"])


def _norm_of_product(left: Array, right: Array) -> float:
    squared = np.sum((left.T @ left) * (right @ right.T))
    return float(np.sqrt(np.maximum(squared, 0)))  # rounding may go below zero; NaN stays NaN
