"""Stacks of adapters merged into a base's weights, and undone exactly.

Only weights whose stack changes are rewritten, each from what it was before any adapter (device/pristine.py): nothing
drifts. On a CPU this is done some rows at a time, within the processor's cache; no number depends on how many.
"""

from collections.abc import Iterable, Iterator, Sequence

import torch

from darkroom.render.adapters.file import Adapter, Delta
from darkroom.render.adapters.product import Product, lokr_factor, product
from darkroom.render.device.pristine import Pristine
from darkroom.render.device.stream import to_device
from darkroom.render.weights.base import Base
from darkroom.render.weights.reading import Part

REGIMES = ("merged", "merged_in_dtype")
# At a time, at least: 128 rows of 3072 columns are 1.5 MB in float32. Of fewer than 4 rows torch's matrix product sums
# in another order.
_CACHED_ROWS = 128
_Stored = dict[str, torch.Tensor]  # the tensors of a delta, where and in the dtype in which it is added
_Recipe = tuple[str, tuple[tuple[Adapter, float], ...]]  # regime, adapters in order
_BASE: _Recipe = ("", ())
_TORN: _Recipe = ("torn", ())  # equal to nothing that is asked for, so that the next stack rewrites the layer


class MergedStack:
    """The adapters merged into one base at present: none at first.

    `rows`: of a weight, that are summed at a time; by default few on a CPU, and all on a GPU.
    """

    def __init__(self, base: Base, pristine: Pristine | None = None, rows: int | None = None) -> None:
        self._base, self._pristine = base, pristine or Pristine(base)
        self._rows = rows or (_CACHED_ROWS if base.device.type == "cpu" else None)
        self._recipes: dict[str, _Recipe] = dict.fromkeys(base.adapter_modules, _BASE)
        self._moved: set[str] = set()  # layers of which the stack has changed a number

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
        sums, rewritten = _Sums(), 0
        for layer, current in self._recipes.items():
            parts = tuple((adapter, multiplier) for adapter, multiplier in active if layer in adapter.deltas)
            recipe = (regime, parts) if parts else _BASE
            if recipe != current:
                if current == _BASE:
                    self._pristine.keep(part.parameter for part in self._base.adapter_modules[layer])
                self._recipes[layer] = _TORN
                self._moved.discard(layer)
                rewritten += self._rewrite(layer, recipe, sums)
                self._recipes[layer] = recipe
        return rewritten

    def _rewrite(self, layer: str, recipe: _Recipe, sums: "_Sums") -> int:
        base, (regime, adapters), parts = self._base, recipe, self._base.adapter_modules[layer]
        dtype = base.dtype if regime == "merged_in_dtype" else torch.float32
        deltas = [
            (delta, {name: to_device(each, base.device).to(dtype) for name, each in delta.tensors.items()}, multiplier)
            for adapter, multiplier in adapters
            for delta in adapter.deltas[layer]
        ]
        for number, part in enumerate(parts):
            own = [(delta, stored, part, multiplier) for delta, stored, multiplier in deltas if delta.is_for(number)]
            pristine, weight = self._pristine.read(part.parameter), base.transformer.get_parameter(part.parameter)
            if not own:
                weight.copy_(pristine)
                continue
            if regime == "merged_in_dtype":
                totals = _summed_in_dtype(pristine, own)
            else:
                totals = sums.of(pristine, [product(*each) for each in own], self._rows or len(pristine))
            for rows, total in totals:
                if layer not in self._moved and _differ(total, pristine[rows]):
                    self._moved.add(layer)
                weight[rows].copy_(total)
        return len(parts)


class _Sums:
    """Adds deltas to weights in float32, in memory that is kept for the next: fresh pages take longer than sums."""

    def __init__(self) -> None:
        self._memory = [torch.empty(0), torch.empty(0)]

    def of(
        self, pristine: torch.Tensor, products: Sequence[Product], at_a_time: int
    ) -> Iterator[tuple[slice, torch.Tensor]]:
        """Rows of a weight, at least so many (or all there are), and their sum, which holds until the next is asked."""
        count = max(1, len(pristine) // at_a_time)
        bounds = [len(pristine) * number // count for number in range(count + 1)]
        for rows in map(slice, bounds, bounds[1:]):
            before = pristine[rows]
            total = products[0].rows(rows, self._like(before, 0)).add_(before)
            for each in products[1:]:
                total.add_(each.rows(rows, self._like(before, 1)))
            yield rows, total

    def _like(self, weight: torch.Tensor, which: int) -> torch.Tensor:
        if self._memory[which].numel() < weight.numel():
            self._memory[which] = torch.empty(0)  # not beside the larger one
            self._memory[which] = torch.empty(weight.numel(), device=weight.device)
        return self._memory[which][: weight.numel()].view(weight.shape)


def _summed_in_dtype(
    pristine: torch.Tensor, deltas: Iterable[tuple[Delta, _Stored, Part, float]]
) -> Iterator[tuple[slice, torch.Tensor]]:
    """The weight as a whole, in ai-toolkit-inference's order of operations."""
    total = pristine.clone()
    for delta, stored, part, multiplier in deltas:
        if "diff" in stored:
            total.add_(delta.cut(stored["diff"], part), alpha=multiplier)
        elif "lora_A.weight" in stored:
            left, strength = delta.cut(stored["lora_B.weight"], part), delta.scale(total.dtype) * multiplier
            total.addmm_(left, stored["lora_A.weight"], alpha=strength)
        else:
            whole = torch.kron(lokr_factor(stored, "lokr_w1"), lokr_factor(stored, "lokr_w2"))
            total.add_(delta.cut(whole, part), alpha=delta.scale(total.dtype) * multiplier)
    yield slice(None), total


def _differ(total: torch.Tensor, pristine: torch.Tensor) -> bool:
    """Whether a sum, once it is rounded, is another weight anywhere."""
    pieces = zip(torch.split(total, _CACHED_ROWS), torch.split(pristine, _CACHED_ROWS), strict=True)
    return any(not torch.equal(new.to(old.dtype), old) for new, old in pieces)
