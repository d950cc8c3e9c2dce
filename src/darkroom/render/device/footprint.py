"""What modules on the meta device take in memory, by quantisation. Loads nothing, and knows no model.

docs/memory.md tells the rule in words; the tests measure it on the meta device at full size.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from darkroom.render.device.mode import Footprint, Workload

QUANTIZATIONS = (None, "qfloat8", "qint8", "qint4", "float8")

# Temporaries for each weight of the largest layer. Merging has it in float32 twice: the sum so far, and what the next
# adapter adds, beside the base's in bfloat16 and rows of a LoKr's factor (9.0 to 12.0 measured, of two adapters).
# Quantising takes 9 in float32 and 5 in bfloat16, with what was read. Reading may convert from float32.
MERGING_BYTES, QUANTIZING_BYTES, READING_BYTES = 12, 10, 4
_DEQUANTIZED = 3  # copies of a layer's weights in the model's dtype, while it multiplies by quantised ones
_GROUP = 128  # weights that share a scale and a shift in qint4


def base_footprints_of(
    transformer: nn.Module,
    vae: nn.Module,
    dtype: torch.dtype,
    pictures: Collection[Workload],
    denoising_bytes: Callable[[Any, torch.dtype, Workload], int],
    coding_bytes: Callable[[Any, torch.dtype, Workload], int],
) -> dict[str | None, Footprint]:
    """By quantisation, of modules on the meta device, by a family's own rules for the temporaries of a picture."""
    computing = max(denoising_bytes(transformer, dtype, picture) for picture in pictures)
    coding = max(coding_bytes(vae, dtype, picture) for picture in pictures)
    coded = tensor_bytes(vae, dtype, None)
    plain = footprints_of(transformer, dtype, MERGING_BYTES, vae=coded, computing=computing, coding=coding)
    touched = sum(layer.weight.numel() for layer in _linears(transformer)) * dtype.itemsize
    return {**plain, None: replace(plain[None], touched=touched)}


def footprints_of(
    model: nn.Module, dtype: torch.dtype, rewriting_bytes: int, *, vae: int = 0, computing: int, coding: int = 0
) -> dict[str | None, Footprint]:
    """Of a transformer or a text encoder, by quantisation; `rewriting_bytes` for each weight that is not quantised.

    `vae`, `computing` and `coding` in bytes, as Footprint has them; what dequantising takes is added to `computing`.
    """
    largest = max(layer.weight.numel() for layer in _linears(model))
    found: dict[str | None, Footprint] = {}
    for quantization in QUANTIZATIONS:
        blocks = sorted(tensor_bytes(block, dtype, quantization) for block in blocks_of(model))
        weights = tensor_bytes(model, dtype, quantization)
        found[quantization] = Footprint(
            weights=weights,
            blocks=sum(blocks[-2:]),
            outside=weights - sum(blocks),
            vae=vae,
            rewriting=(QUANTIZING_BYTES if quantization else rewriting_bytes) * largest,
            computing=computing + (_DEQUANTIZED * largest * dtype.itemsize if quantization else 0),
            coding=coding,
        )
    return found


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """What of a model can come to a device one by one: the members of its outermost lists of modules."""
    if isinstance(model, nn.ModuleList):
        return list(model)
    return [block for child in model.children() for block in blocks_of(child)]


def tensor_bytes(module: nn.Module, dtype: torch.dtype, quantization: str | None) -> int:
    """What the parameters and buffers of a module take, with its linear layers quantised."""
    tensors = sum(tensor.numel() for tensor in (*module.parameters(), *module.buffers())) * dtype.itemsize
    if quantization is None:
        return tensors
    linears = list(_linears(module))
    plain = sum(layer.weight.numel() for layer in linears) * dtype.itemsize
    return tensors - plain + sum(_quantized_bytes(layer, dtype, quantization) for layer in linears)


def _quantized_bytes(layer: nn.Linear, dtype: torch.dtype, quantization: str) -> int:
    rows, columns = layer.weight.shape
    if quantization == "qint4":
        groups = -(-columns // _GROUP)
        return rows * (-(-columns // 2) + 2 * groups * dtype.itemsize)
    return rows * (columns + dtype.itemsize)


def _linears(module: nn.Module) -> Iterable[nn.Linear]:
    return (layer for layer in module.modules() if isinstance(layer, nn.Linear))
