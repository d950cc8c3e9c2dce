"""Stacks of adapters kept beside a base's layers, whose weights they leave alone. Knows no files.

The trainer's regime for a quantised base: y = base(x) + delta(x), the delta of a LoRA computed in float32 and rounded
once, that of a LoKr from its factors in the base's dtype (ai-toolkit's network_mixins.py and models/lokr.py).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch.nn.functional import linear
from torch.utils.hooks import RemovableHandle

from darkroom.render.adapters.file import Adapter, Delta
from darkroom.render.adapters.product import lokr_factor
from darkroom.render.weights.base import Base

_Stack = tuple[tuple[Adapter, float], ...]
_Cut = Callable[[torch.Tensor], torch.Tensor]  # to the rows of one part of a layer
_Branch = Callable[[torch.Tensor, torch.dtype], torch.Tensor]  # (input, dtype of the layer's output) → delta


class LiveStack:
    """The adapters that run beside one base's layers at present: none at first."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._stack: _Stack = ()
        self._handles: list[RemovableHandle] = []

    @torch.no_grad()
    def apply(self, stack: Sequence[tuple[Adapter, float]]) -> int:
        """Make the layers compute base + stack, in order; the number of branches that were newly hung up."""
        active = tuple((adapter, multiplier) for adapter, multiplier in stack if multiplier != 0)
        if active == self._stack:
            return 0
        while self._handles:
            self._handles.pop().remove()
        self._stack = ()  # what is true should the next lines fail: too little memory, say
        for adapter, multiplier in active:
            moved = cache(partial(torch.Tensor.to, device=self._base.device, dtype=torch.float32))  # shared by layers
            for layer, deltas in adapter.deltas.items():
                for delta in deltas:
                    stored = {suffix: moved(tensor) for suffix, tensor in delta.tensors.items()}
                    self._hang(layer, delta, stored, multiplier)
        self._stack = active
        return len(self._handles)

    def _hang(self, layer: str, delta: Delta, stored: Mapping[str, torch.Tensor], multiplier: float) -> None:
        for number, part in enumerate(self._base.adapter_modules[layer]):
            if delta.is_for(number):
                module = self._base.transformer.get_submodule(part.parameter.removesuffix(".weight"))
                branch = _branch(delta, stored, partial(delta.cut, part=part), multiplier)
                self._handles.append(module.register_forward_hook(adding(branch)))


def adding(branch: _Branch) -> Callable[..., torch.Tensor]:
    """A hook that adds a branch to a layer's output."""

    def hook(module: torch.nn.Module, inputs: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        return output + branch(inputs[0], output.dtype)

    return hook


def _branch(delta: Delta, stored: Mapping[str, torch.Tensor], cut: _Cut, multiplier: float) -> _Branch:
    """`stored`: the delta's tensors in float32 on the base's device, shared by all parts of a fused layer."""
    if delta.kind == "lokr":
        return _lokr(stored, cut, delta.scale(torch.float32), multiplier)
    if delta.kind == "diff":
        return _diff(cut(stored["diff"]).contiguous(), multiplier)
    rows = cut(stored["lora_B.weight"]).contiguous()
    return lora_branch(stored["lora_A.weight"], rows, delta.scale(torch.float32), multiplier)


def lora_branch(down: torch.Tensor, up: torch.Tensor, scale: float, multiplier: float) -> _Branch:
    """`down` (rank, in) and `up` (out, rank) in float32."""

    def branch(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        return (linear(linear(x.float(), down), up) * scale * multiplier).to(dtype)

    return branch


def _diff(rows: torch.Tensor, multiplier: float) -> _Branch:
    def branch(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        return (linear(x.float(), rows) * multiplier).to(dtype)

    return branch


def _lokr(stored: Mapping[str, torch.Tensor], cut: _Cut, scale: float, multiplier: float) -> _Branch:
    """kron(w1, w2) without making it: x by w2, then by w1; of a fused layer, then this part's share of the rows.

    A w2 of low rank is two matrices, each rounded; a w1 of low rank is one by then (ai-toolkit's models/lokr.py).
    """
    first = lokr_factor(stored, "lokr_w1")
    seconds = [stored[name] for name in ("lokr_w2_b", "lokr_w2_a", "lokr_w2") if name in stored]  # in order of use

    @cache  # a layer has one dtype: rounded once, and nothing is sent to the device while it computes
    def rounded(dtype: torch.dtype) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]:
        strength = torch.tensor(multiplier, device=first.device).to(dtype)
        return first.to(dtype) * scale, [second.to(dtype) for second in seconds], strength

    def branch(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        outer, inners, strength = rounded(dtype)
        inner = x.to(dtype).reshape(*x.shape[:-1], first.shape[1], seconds[0].shape[1])
        for factor in inners:
            inner = torch.einsum("...qs,os->...qo", inner, factor)
        scaled = torch.einsum("...qo,pq->...po", inner, outer).flatten(-2, -1) * strength
        return cut(scaled.movedim(-1, 0)).movedim(0, -1)

    return branch
