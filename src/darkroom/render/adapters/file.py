"""The tensors of a LoRA or LoKr file, as typed deltas by layer.

Whether the file can be applied to the base, and which key is what, is told by lora_files/judge.py.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from darkroom.errors import AdapterError, WeightFileError
from darkroom.files.content import check_planned
from darkroom.files.regular_file import ANY_SIZE, read_regular
from darkroom.lora_files.file import lora_in
from darkroom.lora_files.judge import judge
from darkroom.lora_files.keys import DeltaKind, LayerDelta
from darkroom.lora_files.naming import AdapterNaming, LayerShapes, Place
from darkroom.lora_files.tools import ALPHA
from darkroom.render.weights.reading import Part
from darkroom.render.weights.tensor_file import tensors_in

Tensors = dict[str, torch.Tensor]  # of one layer, by suffix: "lora_A.weight", "lokr_w1", "alpha", …

_COMPUTED = {
    torch.float64: torch.float32,
    **dict.fromkeys((torch.float8_e4m3fn, torch.float8_e5m2), torch.bfloat16),
}
_NO_ALPHA = 1e9  # ai-toolkit writes 9999999999 for none
_RANKED, _RANK_SIDE = ("lora_A.weight", "lokr_w2_b", "lokr_w1_b"), 0  # factors whose rows are the rank


@dataclass(frozen=True, eq=False)
class Delta:
    """What the file holds for one layer, or for a part of it, as stored (CPU, the file's dtype)."""

    kind: DeltaKind
    tensors: Tensors
    place: Place

    def scale(self, dtype: torch.dtype) -> float:
        """alpha (rounded to `dtype`) over the rank; 1 without alpha, and for two full LoKr factors, of no rank."""
        ranks = [self.tensors[name].shape[_RANK_SIDE] for name in _RANKED if name in self.tensors]
        return self.tensors[ALPHA].to(dtype).item() / ranks[0] if ranks and ALPHA in self.tensors else 1.0

    @property
    def counting(self) -> Tensors:
        """The tensors but for an alpha that is ignored: whole LoKr factors have 9999999999 there, or infinity."""
        return {suffix: tensor for suffix, tensor in self.tensors.items() if suffix != ALPHA or not self._is_whole_lokr}

    @property
    def _is_whole_lokr(self) -> bool:
        return {"lokr_w1", "lokr_w2"} <= self.tensors.keys()

    @property
    def ignored_alpha(self) -> float | None:
        """That of whole LoKr factors, where it is a number that somebody chose."""
        alpha = float(self.tensors[ALPHA]) if self._is_whole_lokr and ALPHA in self.tensors else math.inf
        return alpha if alpha < _NO_ALPHA else None

    def is_zero(self) -> bool:
        """True for a delta that is a product with a factor of zeros, or whose alpha is zero."""
        return not all(bool(tensor.any()) for tensor in self.counting.values())

    def is_for(self, number: int) -> bool:
        """True if the delta is for this one of a layer's parts."""
        return self.place.part in (None, number)

    def cut(self, stored: torch.Tensor, part: Part) -> torch.Tensor:
        """The rows for a part of the layer, of a tensor with the delta's rows; of a part's own delta they are all."""
        if self.place.part is not None:
            return stored
        if rows := self.place.rows:
            size = stored.shape[0] // rows.of
            stored = stored[rows.start * size : rows.stop * size]
        if self.place.swap_halves:
            stored = torch.cat(stored.chunk(2, 0)[::-1], 0)
        return part.cut(stored)


@dataclass(frozen=True, eq=False)
class Adapter:
    """An adapter file as it fits a base. `matched_keys`: tensors applied; `left_out`: those without a place in it.

    `tool`: whose names its keys are, in words; `trainer`: who trained it, with the version; None where unsaid.
    """

    path: str
    format: str  # "lora" | "lokr" | "diff", or several joined by "+"
    deltas: Mapping[str, tuple[Delta, ...]]  # by layer
    matched_keys: int
    tool: str
    left_out: int = 0
    trainer: str | None = None
    foreign: str = ""  # why it is one of another base, "" if it is not known to be
    said_rank: float | None = None  # of its header

    @cached_property
    def bytes(self) -> int:
        """What its tensors take in memory; layers may share one."""
        tensors = (tensor for own in self.deltas.values() for delta in own for tensor in delta.tensors.values())
        return sum({id(tensor): tensor.nbytes for tensor in tensors}.values())

    @cached_property
    def dead(self) -> str | None:
        """One sentence on an adapter that changes nothing, as every one of its deltas is zero; else None."""
        if not all(delta.is_zero() for own in self.deltas.values() for delta in own):
            return None
        return (
            f"{self.path}: changes nothing: the deltas of all its {len(self.deltas)} layers are zero, so that pictures "
            f"are the base model's; {self._why_dead}"
        )

    @property
    def _why_dead(self) -> str:
        every = [delta for own in self.deltas.values() for delta in own]
        if all(ALPHA in delta.counting and not delta.counting[ALPHA].any() for delta in every):
            return "its alphas are 0: save it again with those that it was trained with"
        return "train it again, or look for a later checkpoint"

    @property
    def warning(self) -> str | None:
        """One sentence on an adapter that is applied in part or otherwise than its trainer may have done."""
        if not self.foreign:
            return self._lost or self._scaled
        total = self.matched_keys + self.left_out
        return (
            f"{self.path}: {self.foreign}; by allow_foreign_lora {self.matched_keys} of its {total} keys were applied, "
            f"{self.left_out} have no place in this base"
        )

    @property
    def _lost(self) -> str | None:
        """One sentence where some lora_A are zero, which no training makes: they begin with random numbers."""
        downs = {
            layer: [delta.tensors["lora_A.weight"] for delta in own if "lora_A.weight" in delta.tensors]
            for layer, own in self.deltas.items()
        }
        lost = [layer for layer, own in downs.items() if any(not down.any() for down in own)]
        if not lost or len(lost) == len(downs):
            return None
        return (
            f"{self.path}: {len(lost)} of its {len(downs)} layers are lost: their lora_A is zero, as where a download "
            f"was broken off; copy it again: {', '.join(lost[:3])}"
        )

    @property
    def _scaled(self) -> str | None:
        """One sentence where a whole LoKr has an alpha that its trainer may have divided by the rank."""
        every = [delta.ignored_alpha for own in self.deltas.values() for delta in own]
        scales = {alpha / self.said_rank for alpha in every if alpha is not None and self.said_rank}
        if not scales or all(math.isclose(scale, 1, rel_tol=1e-2) for scale in scales):
            return None
        most = max(scales)
        return (
            f"{self.path}: has whole LoKr factors, whose alpha ai-toolkit ignores, and so does this picture; by the "
            f"rank in its header it is a scale of {most:g}: where that was counted, network_multiplier: {most:g} does"
        )


def read_adapter(
    path: str | Path,
    layers: LayerShapes,
    naming: AdapterNaming,
    *,
    sha256: str | None = None,
    allow_foreign: bool = False,
) -> Adapter:
    """The adapter in `path` for a base with these layers; AdapterError if a single key cannot be applied.

    WeightFileError for a file that is not whole, StoreError for one that is not what was planned (`sha256`).

    `allow_foreign`: one that was made for a kindred base is applied as far as it fits, and says so in `warning`.
    """
    content = read_regular(Path(path), ANY_SIZE, WeightFileError)
    check_planned(content, path, sha256)
    file = lora_in(content, path)
    applicable = judge(file, layers, naming, allow_foreign=allow_foreign)
    tensors = tensors_in(content, path)
    stored = {key: _computable(tensors[key]) for key in applicable.keys}
    deltas = {layer: tuple(_delta(delta, stored) for delta in own) for layer, own in applicable.deltas.items()}
    _check_finite(path, deltas)
    formats = "+".join(sorted({delta.kind for own in deltas.values() for delta in own}))
    return Adapter(
        str(path),
        formats,
        deltas,
        len(stored),
        applicable.tool,
        len(applicable.left_out),
        str(file.trainer) if file.trainer else None,
        applicable.foreign,
        file.said_rank,
    )


def _computable(stored: torch.Tensor) -> torch.Tensor:
    """The same numbers in a dtype that is computed with: bfloat16 holds every float8; float64 is rounded to float32."""
    return stored.to(_COMPUTED.get(stored.dtype, stored.dtype))


def _delta(delta: LayerDelta, stored: Tensors) -> Delta:
    """Of stored tensors, which the deltas for several layers share; an alpha in the header is one more."""
    tensors = {suffix: stored[key] for suffix, key in delta.keys.items()}
    if delta.alpha is not None:
        tensors[ALPHA] = torch.tensor(delta.alpha)
    return Delta(delta.kind, tensors, delta.place)


def _check_finite(path: str | Path, deltas: Mapping[str, Sequence[Delta]]) -> None:
    for layer, delta in ((layer, delta) for layer, own in deltas.items() for delta in own):
        for suffix, tensor in delta.counting.items():
            if not bool(torch.isfinite(tensor).all()):
                cause = "expected a finite number" if suffix == ALPHA else "the training run has diverged"
                raise AdapterError(f"{path}: {layer}.{suffix}: holds NaN or infinity; {cause}")
