"""Weights in quanto's qfloat8, qint8 and qint4, rounding by rounding, without quanto.

The arithmetic of optimum-quanto 0.2.4, which ai-toolkit has, and of 0.2.7, with which the tests compare it:
tensor/optimizers, library/quantize.py, library/qbytes_mm.py, tensor/qbits.py and tensor/function.py there. A weight is
scaled in its own dtype. To be multiplied it is dequantised into that dtype, and a bias is added to the rounded product.

Of the kernels that quanto takes in place of that, this has the one for qint8 on a CPU, which is torch's. Those that
want weights packed for one kind of device are left out, as they make other pixels in another memory mode: torch's int4
kernel for bfloat16 and groups of 128, which the trainer's qint4 takes on GPUs from Ampere on, and Marlin's for float8,
which 0.2.4 does not have. So on a GPU qfloat8 and qint8 are the trainer's operations, and qint4 is not.
"""

import torch

from darkroom.render.weights.quantized_tensor import QuantizedTensor, ScaledRows

_GROUPS = (128, 96, 64, 32)  # numbers of a row that share a scale in qint4, if they divide it
_KERNEL_NUMBERS = 16  # torch's int8 kernel for CPUs reads so many of a row at a time, the last ones too
_KERNEL_BYTES = 64  # and rows from such a boundary on: else it ends the process


class EightBits(ScaledRows):
    """qfloat8 and qint8."""

    def linear(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        if self._has_kernel(rows):
            product = torch._weight_int8pack_mm(_on_a_boundary(rows), self.rounded, self.scale.flatten())
        else:
            product = rows.to(self.scale.dtype) @ self.dequantised().t()
        return _plus(product.reshape(*x.shape[:-1], len(self.rounded)), bias)

    def _has_kernel(self, rows: torch.Tensor) -> bool:
        return (
            self.rounded.dtype == torch.int8
            and rows.dtype == self.scale.dtype == torch.bfloat16
            and rows.device.type == "cpu"
            and rows.shape[1] % _KERNEL_NUMBERS == 0
        )


class FourBits(QuantizedTensor):
    """qint4: two numbers of 0 to 15 in a byte, times `scale`, less `shift`, which are those of a group.

    `packed` ((groups + 1) // 2, numbers in a group) has the first half of the groups in its low bits, the second in
    its high ones; `scale` and `shift` are (groups, 1).
    """

    parts = ("packed", "scale", "shift")
    packed: torch.Tensor
    shift: torch.Tensor

    def dequantised(self) -> torch.Tensor:
        unpacked = torch.cat([self.packed & 15, self.packed >> 4])[: len(self.scale)]
        return (self.scale * unpacked).sub_(self.shift).reshape(self.shape)

    def linear(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return _plus(x @ self.dequantised().t(), bias)


def qfloat8(weight: torch.Tensor) -> EightBits:
    """`weight` (rows, columns), each row scaled by its largest number; a row of zeros becomes one of NaN."""
    largest = torch.finfo(torch.float8_e4m3fn).max
    scale = weight.abs().amax(1, keepdim=True) / largest
    rounded = (weight / scale).clamp_(-largest, largest).to(torch.float8_e4m3fn)
    return EightBits(weight.shape, rounded=rounded, scale=scale)


def qint8(weight: torch.Tensor) -> EightBits:
    """`weight` (rows, columns), each row scaled by its largest number."""
    scale = weight.abs().amax(1, keepdim=True) / 127
    rounded = (weight / scale).round_().clamp_(-128, 127).to(torch.int8)
    return EightBits(weight.shape, rounded=rounded, scale=scale)


def qint4(weight: torch.Tensor) -> FourBits:
    """`weight` (rows, columns), each group of a row between its smallest and its largest number."""
    grouped = weight.reshape(-1, _group_of(weight.shape[1]))
    along = 1 if len(grouped) > 1 else 0  # quanto takes a single group by columns: each number is a group of its own
    smallest, largest = grouped.amin(along, keepdim=True), grouped.amax(along, keepdim=True)
    scale, shift = (largest - smallest) / 15, -smallest
    rounded = (grouped + shift).div_(scale).round_().clamp_(0, 15).to(torch.uint8)
    return FourBits(weight.shape, packed=_packed(rounded), scale=scale, shift=shift)


def _group_of(columns: int) -> int:
    """How many numbers of a row share a scale; no group of 128 or fewer is divided."""
    if columns <= _GROUPS[0]:
        return columns
    return next((group for group in _GROUPS if columns % group == 0), columns)


def _packed(numbers: torch.Tensor) -> torch.Tensor:
    """uint8 of 0 to 15, (groups, …) → ((groups + 1) // 2, …)."""
    packed, high = numbers.tensor_split([(len(numbers) + 1) // 2])
    packed = packed.clone()
    packed[: len(high)] |= high << 4
    return packed


def _on_a_boundary(rows: torch.Tensor) -> torch.Tensor:
    if rows.data_ptr() % _KERNEL_BYTES or not rows.is_contiguous():
        return rows.clone(memory_format=torch.contiguous_format)
    return rows


def _plus(product: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return product if bias is None else product + bias
