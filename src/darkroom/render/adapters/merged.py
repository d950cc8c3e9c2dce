"""Stacks of adapters merged into a base's weights, and undone exactly. Knows no files but the base's own.

Only weights whose stack changes are rewritten, each from the base's file: nothing drifts, and there is no second copy
of the weights in memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from darkroom.render.adapters.file import Adapter, Delta
from darkroom.render.weights.base import Base

REGIMES = ("merged", "merged_in_dtype")
_ROWS = (
    1024  # scaled at once, as a whole layer of klein-4B in float32 is 340 MB; number by number it makes no difference
)
_Recipe = tuple[str, tuple[tuple[Adapter, float], ...]]  # regime, adapters in order
_BASE: _Recipe = ("", ())
_TORN: _Recipe = ("torn", ())  # equal to nothing that is asked for, so that the next stack rewrites the layer


class MergedStack:
    """The adapters merged into one base at present: none at first."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._recipes: dict[str, _Recipe] = dict.fromkeys(base.adapter_modules, _BASE)
        self._moved = ""  # a layer whose weights the stack has changed, if one is known

    @property
    def is_lost_in_rounding(self) -> bool:
        """True where adapters are merged, but into no weight: their deltas are below what the base's dtype holds."""
        return not self._moved and any(recipe != _BASE for recipe in self._recipes.values())

    @torch.no_grad()
    def apply(self, stack: Sequence[tuple[Adapter, float]], regime: str) -> int:
        """Make the weights those of base + stack; the number of weights (parameters) rewritten for it.

        `stack`: adapters read for this base, with their multipliers, in order; a multiplier of 0 is the base.
        `merged` adds all deltas in float32 and rounds once, as the trainer's previews on an unquantised base;
        `merged_in_dtype` adds one after the other in the weights' dtype, as ai-toolkit-inference.
        """
        active = [(adapter, multiplier) for adapter, multiplier in stack if multiplier != 0]
        rewritten = 0
        for layer, current in self._recipes.items():
            parts = tuple((adapter, multiplier) for adapter, multiplier in active if layer in adapter.deltas)
            recipe = (regime, parts) if parts else _BASE
            if recipe != current:
                self._recipes[layer] = _TORN
                self._moved = "" if layer == self._moved else self._moved
                rewritten += self._rewrite(layer, recipe)
                self._recipes[layer] = recipe
        if not self._moved:
            merged = (layer for layer, recipe in self._recipes.items() if recipe != _BASE)
            self._moved = next(filter(self._is_moved, merged), "")
        return rewritten

    def _is_moved(self, layer: str) -> bool:
        base = self._base
        return any(
            not torch.equal(
                base.transformer.get_parameter(part.parameter),
                base.weights.read(part.parameter, base.dtype, base.device),
            )
            for part in base.adapter_modules[layer]
        )

    def _rewrite(self, layer: str, recipe: _Recipe) -> int:
        base, (regime, adapters) = self._base, recipe
        parts = base.adapter_modules[layer]
        weights = [base.weights.read(part.parameter, base.dtype, base.device) for part in parts]
        if regime == "merged":
            weights = [weight.float() for weight in weights]
        for adapter, multiplier in adapters:
            for delta in adapter.deltas[layer]:
                factors = _factors(delta, weights[0])
                for i, part in enumerate(parts):
                    if delta.is_for(i):
                        rows = delta.cut(factors.left, part)
                        weights[i] = _add(weights[i], rows, factors, multiplier, rounded=regime != "merged")
        for part, weight in zip(parts, weights, strict=True):
            base.transformer.get_parameter(part.parameter).copy_(weight)
        return len(parts)


@dataclass(frozen=True, eq=False)
class _Factors:
    """A delta of (left @ right) · scale, or of left · scale; `left` has the delta's rows."""

    left: torch.Tensor
    right: torch.Tensor | None
    scale: float


def _factors(delta: Delta, like: torch.Tensor) -> _Factors:
    """The delta's factors in the dtype and on the device of `like`."""
    stored = {suffix: tensor.to(like.device, like.dtype) for suffix, tensor in delta.tensors.items()}
    if "diff" in stored:
        return _Factors(stored["diff"], None, 1.0)
    if "lora_A.weight" in stored:
        return _Factors(stored["lora_B.weight"], stored["lora_A.weight"], delta.scale(like.dtype))
    whole = torch.kron(lokr_factor(stored, "lokr_w1"), lokr_factor(stored, "lokr_w2"))
    return _Factors(whole, None, delta.scale(like.dtype))


def lokr_factor(stored: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
    """A factor of a LoKr, stored whole or as a product of low rank."""
    return stored[name] if name in stored else stored[f"{name}_a"] @ stored[f"{name}_b"]


def _add(
    weight: torch.Tensor, left: torch.Tensor, factors: _Factors, multiplier: float, *, rounded: bool
) -> torch.Tensor:
    """weight + delta in place, in ai-toolkit-inference's order of operations if `rounded`, else in the trainer's."""
    right, scale = factors.right, factors.scale
    if rounded and right is not None:
        return weight.addmm_(left, right, beta=1.0, alpha=scale * multiplier)
    if rounded:
        return weight.add_(left, alpha=scale * multiplier)
    if right is not None:
        return weight.add_((left @ right).mul_(multiplier).mul_(scale))
    for rows, delta in zip(torch.split(weight, _ROWS), torch.split(left, _ROWS), strict=True):
        rows.add_((delta * scale).mul_(multiplier))
    return weight
