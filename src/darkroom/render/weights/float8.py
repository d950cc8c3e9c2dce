"""Weights in torchao's float8: one scale for each row, in the weight's own dtype, dequantised to be multiplied.

The arithmetic of torchao 0.10.0 (quant_primitives.py, float8_layout.py), which ai-toolkit has, without torchao. A
weight quantised so is a tensor of its first dtype and shape to whatever reads it, and two smaller ones in memory.
"""

from typing import Any, Self

import torch
from torch.utils._pytree import tree_map_only

_DTYPE, _LARGEST = torch.float8_e4m3fn, 448.0


class Float8Weight(torch.Tensor):
    """`rounded` (rows, columns) in float8 times `scale` (rows, 1)."""

    rounded: torch.Tensor
    scale: torch.Tensor

    @staticmethod
    def __new__(cls, rounded: torch.Tensor, scale: torch.Tensor) -> Self:
        made: Self = torch.Tensor._make_wrapper_subclass(cls, rounded.shape, dtype=scale.dtype, device=rounded.device)
        made.rounded, made.scale = rounded, scale
        return made

    def dequantised(self) -> torch.Tensor:
        return self.rounded.to(self.scale.dtype) * self.scale

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["rounded", "scale"], None

    @classmethod
    def __tensor_unflatten__(cls, parts: dict[str, torch.Tensor], meta: None, size: Any, stride: Any) -> Self:
        return cls(parts["rounded"], parts["scale"])

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.nn.functional.linear:  # as one operation, which rounds otherwise than its parts
            return func(*tree_map_only(cls, cls.dequantised, args), **(kwargs or {}))
        with torch._C.DisableTorchFunctionSubclass():  # what comes out is no weight
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        if func is torch.ops.aten.detach.default:
            return cls(args[0].rounded, args[0].scale)
        plain = tree_map_only(cls, cls.dequantised, (args, kwargs or {}))
        return func(*plain[0], **plain[1])


class Float8Linear(torch.nn.Linear):
    """A linear layer whose weights are to be quantised so."""


def prepare(model: torch.nn.Module, kept: tuple[str, ...]) -> None:
    """Give every linear layer of a model on the meta device its quantising kind, in place.

    `kept`: how the names of layers begin that stay as they are.
    """
    for name, layer in list(model.named_modules()):
        if isinstance(layer, torch.nn.Linear) and not name.startswith(kept):
            parent, _, leaf = name.rpartition(".")
            quantising = Float8Linear(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
            setattr(model.get_submodule(parent), leaf, quantising)


@torch.no_grad()
def quantized(weight: torch.Tensor) -> Float8Weight:
    """`weight` (rows, columns), each row scaled by its largest number."""
    largest = torch.maximum(-weight.amin(1, keepdim=True).clamp(max=0), weight.amax(1, keepdim=True).clamp(min=0))
    scale = (largest / _LARGEST).clamp(min=torch.finfo(torch.float32).eps)
    return Float8Weight((weight * scale.reciprocal()).clamp(-_LARGEST, _LARGEST).to(_DTYPE), scale)
