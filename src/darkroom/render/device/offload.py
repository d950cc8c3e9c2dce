"""Applies a memory mode to loaded models: what rests in CPU memory, and when it comes to the device. Plans nothing.

Weights that rest are the ones that a module has: whatever writes into them between two uses (adapters that are merged)
is what arrives with the next use. During a use the device has copies, which are dropped after it; only of what is in
no block diffusers' group offloading copies the same values back. Never run on CUDA, but on what the tests have in its
place (tests/machine/gpu.py).
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import torch
from diffusers.hooks import apply_group_offloading
from torch import nn

from darkroom.machine.allotment.memory import memory
from darkroom.render.device.footprint import blocks_of
from darkroom.render.device.mode import MODEL, RESIDENT
from darkroom.render.weights.base import Base, TextEncoder
from darkroom.render.weights.quantization import moved
from darkroom.render.weights.quantized_tensor import QuantizedTensor

_Table = dict[str, Any]  # a module's own parameters or buffers, by name


class Visit:
    """The tensors of some modules, without those inside them, that come to a device and leave it again."""

    def __init__(self, modules: Iterable[nn.Module], device: torch.device) -> None:
        self._modules = list(modules)
        self._device = device
        self._resting: list[tuple[_Table, str, torch.Tensor]] = []

    @torch.no_grad()
    def arrive(self) -> None:
        """Copy them to the device; those that are there already stay as they are."""
        for module in self._modules:
            tables: tuple[_Table, ...] = (module._parameters, module._buffers)
            for table in tables:
                for name, tensor in table.items():
                    if tensor is not None:
                        self._resting.append((table, name, tensor))
                        table[name] = _moved(tensor, self._device)

    def leave(self) -> None:
        """Drop the copies; the modules have their resting tensors again."""
        while self._resting:
            table, name, tensor = self._resting.pop()
            table[name] = tensor


class Residence:
    """Where the parts of one base are, in one mode. Adapters are applied while nothing is in use."""

    def __init__(self, base: Base, mode: str) -> None:
        self._visits: dict[str, Visit] = {}
        if mode == RESIDENT:
            return
        self._visits["vae"] = Visit(base.vae.modules(), base.device)
        if mode == MODEL:
            self._visits["transformer"] = Visit(base.transformer.modules(), base.device)
        elif _is_quantized(base.transformer):
            self._visits["transformer"] = _visit_by_blocks(base.transformer, base.device)
        else:
            stream_blocks(base.transformer, base.device)

    @contextlib.contextmanager
    def use(self, part: str) -> Iterator[None]:
        """Have `transformer` or `vae` on the device within; ValueError for another part."""
        if part not in ("transformer", "vae"):
            raise ValueError(f"part: expected transformer or vae, got {part}")
        visit = self._visits.get(part)
        try:
            if visit:
                visit.arrive()  # what came before memory ran out has to leave again
            yield
        finally:
            if visit:
                visit.leave()


def stream_blocks(model: nn.Module, device: torch.device) -> None:
    """Bring each block to the device for its forward pass, by diffusers; on CUDA the next one arrives meanwhile.

    Between two passes every parameter is what rests in CPU memory: what is written into it arrives next time. It is a
    pinned copy, from which copying is quicker, where there is room for all of them beside what they are made from.
    """
    on_cuda = device.type == "cuda"
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    is_tight = on_cuda and memory().free < weights
    apply_group_offloading(
        model,
        device,
        torch.device("cpu"),
        num_blocks_per_group=1,
        use_stream=on_cuda,
        low_cpu_mem_usage=is_tight,
    )


def place_text_encoder(text_encoder: TextEncoder, mode: str, device: torch.device) -> TextEncoder:
    """A text encoder that was loaded into CPU memory, ready to encode on `device` for the rest of the process."""
    model = text_encoder.model
    if mode == RESIDENT:
        Visit(model.modules(), device).arrive()
    else:
        _visit_by_blocks(model, device).arrive()
    return replace(text_encoder, device=device)


def _visit_by_blocks(model: nn.Module, device: torch.device) -> Visit:
    """Hooks that bring one block at a time, and the visit of all else: for tensors that diffusers cannot offload."""
    blocks = blocks_of(model)
    for block in blocks:
        visit = Visit(block.modules(), device)
        block.register_forward_pre_hook(lambda module, inputs, visit=visit: visit.arrive())
        block.register_forward_hook(lambda module, inputs, output, visit=visit: visit.leave(), always_call=True)
    inside = {module for block in blocks for module in block.modules()}
    return Visit((module for module in model.modules() if module not in inside), device)


def _moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`tensor` on a device: itself if it is there; a parameter stays one."""
    if tensor.device.type == device.type:
        return tensor
    copy = moved(tensor.detach(), device)
    return nn.Parameter(copy, requires_grad=False) if isinstance(tensor, nn.Parameter) else copy


def _is_quantized(model: nn.Module) -> bool:
    """True where weights are made of several tensors, of which group offloading would move the outermost alone."""
    return any(isinstance(weight, QuantizedTensor) for weight in model.parameters())
