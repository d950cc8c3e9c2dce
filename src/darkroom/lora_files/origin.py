"""Which base an adapter was made for, told from its layers' names, their shapes and its header. Opens no file.

An adapter may leave blocks and layers out (`only_if_contains`), so it is foreign only where that is certain: it names
what the base lacks, covers another known base's blocks and no more, or its header says so.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from darkroom.lora_files.families import NAMINGS
from darkroom.lora_files.layers import hidden_size
from darkroom.lora_files.naming import AdapterNaming, KnownBase, LayerShapes

_TOOLS = (  # beginnings of keys, and what a file with them is if no family's own adapters begin so
    (r"(lora_unet|lora_transformer|lora_te\d?)_", "in kohya naming"),
    (r"base_model\.model\.", "in PEFT naming"),
    (r"(single_)?transformer_blocks\.", "in diffusers or PEFT naming"),
    (r"(double|single)_blocks\.", "in BFL naming without a prefix"),
    (r"text_encoder(_2)?\.", "a LoRA of the text encoder as well, which ai-toolkit does not preview"),
)


@dataclass(frozen=True)
class Foreign:
    """Why an adapter is not for a base. `kindred`: of the same naming and hidden size, so that most of it may fit."""

    reason: str
    kindred: bool


@dataclass(frozen=True)
class _Seen:
    """What the layers of an adapter or of a base show of its sizes."""

    hidden: int  # 0 where nothing shows it
    double_blocks: frozenset[int]
    single_blocks: frozenset[int]

    @property
    def counts(self) -> tuple[int, int]:
        """1 + the highest block, of the double and of the single ones."""
        return 1 + max(self.double_blocks, default=-1), 1 + max(self.single_blocks, default=-1)

    def within(self, known: KnownBase) -> bool:
        """True if an adapter of `known` could look so."""
        double, single = self.counts
        blocks_fit = double <= known.double_blocks and single <= known.single_blocks
        return blocks_fit and self.hidden in (0, known.hidden)

    def covers(self, known: KnownBase) -> bool:
        """True if every block of `known` is there, and none beyond."""
        blocks = (self.double_blocks, self.single_blocks)
        return blocks == (frozenset(range(known.double_blocks)), frozenset(range(known.single_blocks)))


def foreign_naming(key: str) -> str:
    """What a file with this key is, in words that follow "is"."""
    for naming in NAMINGS.values():
        if key.startswith(naming.prefix) and naming.block.match(key.removeprefix(naming.prefix)):
            return f"a LoRA for {naming.named_alike}, or {naming.other_tools}"
        if key.startswith(naming.old_prefix) and naming.block.match(key.removeprefix(naming.old_prefix)):
            return f"a LoKr for {naming.named_alike} in the old format"
    return next((what for pattern, what in _TOOLS if re.match(pattern, key)), "in an unknown naming")


def foreign_to(
    layers: LayerShapes | None, naming: AdapterNaming, found: LayerShapes, version: str | None
) -> Foreign | None:
    """Why an adapter with the layers `found` is not for a base with `layers`; None if it may be, or nobody knows.

    `layers`: None for a base whose layers are not known. `version`: what the adapter's header says (KnownBase.header).
    """
    theirs, ours = _seen(found, naming), None if layers is None else _seen(layers, naming)
    by_size = _fitting(theirs, (*naming.bases, *naming.kin))
    # 1. Another width: nothing can be applied.
    if ours and theirs.hidden not in (0, ours.hidden):
        sizes = f"hidden size {theirs.hidden}, the base has {ours.hidden}"
        return Foreign(f"this LoRA is for {_names(by_size)}: {sizes}", kindred=False)
    # 2. Another family by its header.
    said = [known for known in (*naming.bases, *naming.kin) if known.header == version]
    candidates = _fitting(theirs, said) or by_size
    home = [known for known in naming.bases if ours and ours.covers(known) and ours.within(known)]
    if said and not set(said) & set(naming.bases):
        names = _names(_fitting(theirs, said) or said)
        return Foreign(f"this LoRA is for {names}, the base is {_names(home or naming.bases)}", kindred=True)
    if ours is None:
        return None
    # 3. Another known base that the header does not tell from this one, or more blocks than there are.
    beyond = any(count > limit for count, limit in zip(theirs.counts, ours.counts, strict=True))
    if beyond or (home and candidates and home[0] not in candidates):
        return Foreign(_other_blocks(theirs, candidates, ours, home), kindred=True)
    return None


def _other_blocks(theirs: _Seen, candidates: list[KnownBase], ours: _Seen, home: list[KnownBase]) -> str:
    (double, single), (our_double, our_single) = theirs.counts, ours.counts
    whole = any(theirs.covers(known) for known in candidates)
    counted = f"{double} double and {single} single blocks"
    blocks = f"all of its {counted}" if whole else f"{counted} or more"
    base = f"the base is {home[0].name} and" if home else "the base"
    return f"this LoRA is for {_names(candidates)}: {blocks}, {base} has {our_double} and {our_single}"


def _fitting(seen: _Seen, bases: Iterable[KnownBase]) -> list[KnownBase]:
    """Those of the bases that an adapter may be for: the ones that it covers exactly if there are any."""
    fitting = [known for known in bases if seen.within(known)]
    return [known for known in fitting if seen.covers(known)] or fitting


def _names(bases: Iterable[KnownBase]) -> str:
    return " or ".join(known.name for known in bases) or "another base"


def _seen(layers: LayerShapes, naming: AdapterNaming) -> _Seen:
    blocks: dict[str, set[int]] = {naming.double_blocks: set(), naming.single_blocks: set()}
    for name in layers:
        if match := naming.block.fullmatch(name):
            blocks[match[1]].add(int(match[2]))
    double, single = blocks[naming.double_blocks], blocks[naming.single_blocks]
    return _Seen(hidden_size(layers.items(), naming), frozenset(double), frozenset(single))
