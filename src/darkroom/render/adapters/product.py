"""Rows of what one delta adds to one weight, in float32 and in the trainer's order of operations.

A few rows at a time are summed in the cache of a processor; how many they are changes no number: test_switching.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from darkroom.render.adapters.file import Delta
from darkroom.render.weights.reading import Part


class Product(Protocol):
    """A delta as one weight takes it, at one strength."""

    def rows(self, rows: slice, out: torch.Tensor) -> torch.Tensor:
        """These rows of it, in `out`: (rows, columns of the weight) float32, contiguous."""


@dataclass(frozen=True, eq=False)
class LowRank:
    """left @ right · multiplier · scale."""

    left: torch.Tensor  # (rows of the weight, rank)
    right: torch.Tensor
    multiplier: float
    scale: float

    def rows(self, rows: slice, out: torch.Tensor) -> torch.Tensor:
        return _times(torch.mm(self.left[rows], self.right, out=out), self.multiplier, self.scale)


@dataclass(frozen=True, eq=False)
class Kronecker:
    """kron(outer, inner) · scale · multiplier. `of`: which of its rows the weight's first, second … one takes."""

    outer: torch.Tensor
    inner: torch.Tensor
    of: torch.Tensor
    multiplier: float
    scale: float

    def rows(self, rows: slice, out: torch.Tensor) -> torch.Tensor:
        wanted, size = self.of[rows], self.inner.shape[0]
        left, right = self.outer[wanted // size].unsqueeze(2), self.inner[wanted % size].unsqueeze(1)
        torch.mul(left, right, out=out.view(len(out), self.outer.shape[1], self.inner.shape[1]))
        return _times(out, self.scale, self.multiplier)


@dataclass(frozen=True, eq=False)
class Whole:
    """difference · multiplier."""

    difference: torch.Tensor
    multiplier: float

    def rows(self, rows: slice, out: torch.Tensor) -> torch.Tensor:
        return _times(out.copy_(self.difference[rows]), self.multiplier)


def product(delta: Delta, stored: Mapping[str, torch.Tensor], part: Part, multiplier: float) -> Product:
    """What the delta adds to this part of its layer. `stored`: its tensors in float32, where the sum is made."""
    if "diff" in stored:
        return Whole(delta.cut(stored["diff"], part), multiplier)
    scale = delta.scale(torch.float32)
    if "lora_A.weight" in stored:
        return LowRank(delta.cut(stored["lora_B.weight"], part), stored["lora_A.weight"], multiplier, scale)
    outer, inner = lokr_factor(stored, "lokr_w1"), lokr_factor(stored, "lokr_w2")
    rows = torch.arange(outer.shape[0] * inner.shape[0], device=outer.device)
    return Kronecker(outer, inner, delta.cut(rows.unsqueeze(1), part).squeeze(1), multiplier, scale)


def lokr_factor(stored: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
    """A factor of a LoKr, stored whole or as a product of low rank."""
    return stored[name] if name in stored else stored[f"{name}_a"] @ stored[f"{name}_b"]


def _times(numbers: torch.Tensor, *factors: float) -> torch.Tensor:
    """In place, one rounding a factor; a factor of 1 rounds nothing."""
    for factor in factors:
        if factor != 1:
            numbers.mul_(factor)
    return numbers
