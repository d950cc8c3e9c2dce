"""optimum-quanto, which the trainer quantises with, for tests to compare with: on any machine, in its plain form."""

from types import SimpleNamespace
from typing import Any

import torch
from optimum import quanto
from optimum.quanto.library.extensions.extension import get_extension


def _unpack(packed: torch.Tensor, bits: int) -> torch.Tensor:
    """uint8 of any shape (rows, …) → (rows * 8 / bits, …): of each byte the lowest bits first."""
    return torch.cat([packed >> shift & (1 << bits) - 1 for shift in range(0, 8, bits)])


# At the first 4 bits quanto would compile this from C++ into its own folder: a minute, with g++ and ninja.
get_extension("quanto_cpp")._lib = SimpleNamespace(unpack=_unpack)


def quantize(model: torch.nn.Module, qtype: str) -> None:
    """Quantise and freeze every linear layer, in place; no weight is packed for the kernels of a device."""
    quanto.quantize(model, weights=getattr(quanto, qtype))
    for layer in model.modules():
        if isinstance(layer, quanto.QModuleMixin):
            layer.weight = torch.nn.Parameter(_plain(layer), requires_grad=False)


def _plain(layer: Any) -> torch.Tensor:
    weight, qtype, group = layer.weight, layer.weight_qtype, layer.weight_group_size
    if qtype.bits == 8:
        scale, shift = layer.optimizer(weight, qtype=qtype, axis=0), None
    else:
        scale, shift = layer.optimizer(weight, qtype=qtype, axis=0, group_size=group)
    plain: torch.Tensor = quanto.quantize_weight(
        weight, qtype, axis=0, scale=scale, shift=shift, group_size=group, optimized=False
    )
    return plain
