"""Weights in torchao's float8: one scale for each row, in the weight's own dtype, dequantised to be multiplied.

The arithmetic of torchao 0.10.0 (quant_primitives.py, float8_layout.py), which ai-toolkit has, without torchao.
"""

import torch

from darkroom.render.weights.quantized_tensor import ScaledRows

_DTYPE, _LARGEST = torch.float8_e4m3fn, 448.0


class Float8Weight(ScaledRows):
    """A linear layer multiplies by it, and adds its bias, in one operation."""

    def linear(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return torch.nn.functional.linear(x, self.dequantised(), bias)


def quantized(weight: torch.Tensor) -> Float8Weight:
    """`weight` (rows, columns), each row scaled by its largest number."""
    largest = torch.maximum(-weight.amin(1, keepdim=True).clamp(max=0), weight.amax(1, keepdim=True).clamp(min=0))
    scale = (largest / _LARGEST).clamp(min=torch.finfo(torch.float32).eps)
    rounded = (weight * scale.reciprocal()).clamp_(-_LARGEST, _LARGEST).to(_DTYPE)
    return Float8Weight(weight.shape, rounded=rounded, scale=scale)
