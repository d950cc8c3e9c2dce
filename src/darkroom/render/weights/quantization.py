"""Weights stored in 8 or 4 bits, as the trainer quantises them: by optimum-quanto, or in torchao's float8 (float8.py).

Two steps, so that a model never has to fit in full precision: `prepare` on the meta device, then `finish` for each
layer as soon as its weights are there. qfloat8 has one scale an output row, so that splitting a fused layer by rows
changes nothing.

quanto would pack weights for the kernel of the device that they are on, and again on each device that they come to:
other kernels, so other pixels in another memory mode. Here they stay in quanto's plain form, of which qfloat8 (and
qint8 on a GPU) is dequantised and multiplied in the model's dtype; qint8 on a CPU has a kernel of torch's, as in the
trainer. What quanto would have packed rounds otherwise in the trainer: qint4, and qfloat8 on a GPU with its extension.

quanto is imported where something is quantised: it takes as long to import as torch and diffusers together.
"""

import sys
from typing import Any

import torch
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from darkroom.render.weights import float8

FLOAT8 = "float8"  # torchao's


def prepare(model: torch.nn.Module, qtype: str, kept: tuple[str, ...] = ()) -> None:
    """Give the linear layers of a model on the meta device their quantising kind, in place; weights stay as they are.

    `qtype`: qfloat8 | qint8 | qint4, which are quanto's, or float8. `kept`: how the names of layers begin that stay as
    they are.
    """
    if qtype == FLOAT8:
        float8.prepare(model, kept)
        return
    from optimum import quanto

    _leave_compilers_out()
    quanto.quantize(model, weights=getattr(quanto, qtype), exclude=[f"{name}*" for name in kept] or None)


class _Extension:
    """What is asked of quanto's compiled extensions, in torch's own operations."""

    @staticmethod
    def unpack(packed: torch.Tensor, bits: int) -> torch.Tensor:
        """uint8 of any shape (rows, …) → (rows * 8 / bits, …): of each byte the lowest bits first."""
        return torch.cat([packed >> shift & (1 << bits) - 1 for shift in range(0, 8, bits)])


def _leave_compilers_out() -> None:
    """At the first 4 bits quanto would compile an extension into its own folder: a minute, with g++ or nvcc and ninja.

    There is no other way to it than this attribute, and quanto has had no release since March 2025.
    """
    from optimum.quanto.library.extensions.extension import get_extension, is_extension_available

    for name in ("quanto_cpp", "quanto_cuda"):
        if is_extension_available(name):
            get_extension(name)._lib = _Extension


def quantises(layer: torch.nn.Module) -> bool:
    """True for a layer that `prepare` made of quanto's: there is none where quanto was never imported."""
    quanto = sys.modules.get("optimum.quanto")
    return quanto is not None and isinstance(layer, quanto.QModuleMixin)


@torch.no_grad()
def finish(layer: Any) -> None:
    """Quantise one layer, filled by now; a layer of another kind stays as it is."""
    if isinstance(layer, float8.Float8Linear):
        layer.weight = torch.nn.Parameter(float8.quantized(layer.weight), requires_grad=False)
    if not quantises(layer):
        return
    layer.weight = torch.nn.Parameter(_quantized(layer), requires_grad=False)
    if layer.weight_qtype.name == "qint8":
        layer.register_forward_pre_hook(_on_a_boundary)
    for name, scale in layer.named_buffers(recurse=False):  # of activations, which are not quantised
        setattr(layer, name, torch.ones(scale.shape, dtype=scale.dtype, device=layer.weight.device))


def _on_a_boundary(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """torch's int8 kernel for CPUs ends the process on input that is not contiguous on a boundary of 64 bytes."""
    first, *others = inputs
    if first.device.type == "cpu" and (first.data_ptr() % 64 or not first.is_contiguous()):
        first = first.clone(memory_format=torch.contiguous_format)
    return (first, *others)


def _quantized(layer: Any) -> torch.Tensor:
    """What `layer.freeze()` makes of the weights, but not packed for a device."""
    from optimum.quanto import SymmetricOptimizer, quantize_weight

    weight, qtype, optimizer = layer.weight, layer.weight_qtype, layer.optimizer
    if isinstance(optimizer, SymmetricOptimizer):
        scale = optimizer(weight, qtype=qtype, axis=0)
        plain: torch.Tensor = quantize_weight(weight, qtype, axis=0, scale=scale, optimized=False)
        return plain
    group = layer.weight_group_size
    scale, shift = optimizer(weight, qtype=qtype, axis=0, group_size=group)
    grouped: torch.Tensor = quantize_weight(
        weight, qtype, axis=0, scale=scale, shift=shift, group_size=group, optimized=False
    )
    return grouped


def moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`tensor` on a device, of the same kind: of quantised weights each part by itself, and nothing is packed anew."""
    if not is_traceable_wrapper_subclass(tensor):
        return tensor.to(device)
    names, meta = tensor.__tensor_flatten__()
    parts = {name: moved(getattr(tensor, name), device) for name in names}
    unflatten = type(tensor).__tensor_unflatten__
    return unflatten(parts, meta, tensor.size(), tensor.stride())
