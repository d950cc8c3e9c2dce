"""Which base an adapter was made for, told from its layers' names, their shapes and its header. Opens no file.

An adapter may leave blocks and layers out (`only_if_contains`), so it is foreign only where that is certain: it names
what the base lacks, covers another known base's blocks and no more, or its header says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from darkroom.lora_files.families import NAMINGS
from darkroom.lora_files.keys import ReadKeys, placed
from darkroom.lora_files.layers import hidden_size, layers_of
from darkroom.lora_files.naming import AdapterNaming, KnownBase, LayerShapes


@dataclass(frozen=True)
class Foreign:
    """Why an adapter is not for a base. `kindred`: of the same naming and hidden size, so that most of it may fit."""

    reason: str
    kindred: bool


@dataclass(frozen=True)
class _Seen:
    """What the layers of an adapter or of a base show of its sizes."""

    hidden: int  # 0 where nothing shows it
    blocks: tuple[frozenset[int], ...]  # in each list of the family

    @property
    def counts(self) -> tuple[int, ...]:
        """1 + the highest block of each list."""
        return tuple(1 + max(indices, default=-1) for indices in self.blocks)

    def covers(self, known: KnownBase) -> bool:
        """True if every block of `known` is there, and none beyond."""
        return self.blocks == tuple(frozenset(range(count)) for count in known.blocks)


def foreign_to(
    layers: LayerShapes | None, naming: AdapterNaming, read: ReadKeys, version: str | None
) -> Foreign | None:
    """Why an adapter is not for a base with `layers`; None if it may be, or nobody knows.

    `layers`: None for a base whose layers are not known. `version`: what the adapter's header says (KnownBase.header).
    """
    found = {delta.place.layer: delta.shape for delta in read.deltas}
    theirs, ours = _seen(found, naming), None if layers is None else _seen(layers, naming)
    own = (*naming.bases, *naming.kin)
    # 1. Modules that no base of the family has.
    if read.unknown:
        return _named_elsewhere(naming, read)
    by_size = _fitting(found, own, naming) or _strangers(naming, read)
    # 2. Another width: nothing can be applied.
    if ours and theirs.hidden not in (0, ours.hidden):
        sizes = f"hidden size {theirs.hidden}, the base has {ours.hidden}"
        return Foreign(f"this LoRA is for {_names(by_size)}: {sizes}", kindred=False)
    # 3. Another family by its header.
    known = (*own, *(base for family in NAMINGS.values() for base in family.bases))
    said = [base for base in dict.fromkeys(known) if base.header == version]
    candidates = _fitting(found, [base for base in said if base in own], naming) or by_size
    home = [base for base in naming.bases if layers is not None and _is_home(base, layers, naming)]
    if said and not set(said) & set(naming.bases):
        names = _names([base for base in candidates if base in said] or said)
        reason = f"this LoRA is for {names}, the base is {_names(home or naming.bases)}"
        return Foreign(reason, kindred=bool(set(said) & set(own)))
    if ours is None:
        return None
    # 4. Another known base that the header does not tell from this one, or more blocks than there are.
    beyond = any(count > limit for count, limit in zip(theirs.counts, ours.counts, strict=True))
    if beyond or (home and candidates and home[0] not in candidates):
        kindred = not candidates or bool(set(candidates) & set(own))
        return Foreign(_other_blocks(naming, theirs, candidates, ours, home), kindred)
    return None


def bases_of(read: ReadKeys, naming: AdapterNaming, version: str | None) -> tuple[KnownBase, ...]:
    """The known bases that have all layers of an adapter; those that its header says, if any of them are."""
    found = {delta.place.layer: delta.shape for delta in read.deltas}
    fitting = _fitting(found, (*naming.bases, *naming.kin), naming)
    return tuple([base for base in fitting if base.header == version] or fitting)


def _named_elsewhere(naming: AdapterNaming, read: ReadKeys) -> Foreign | None:
    """Whose the modules are that no base of the family has; None where some are the family's and none has the rest."""
    others = [family for family in NAMINGS.values() if family.named_alike != naming.named_alike]
    for family in others:
        if all(family.places(module) for module in read.modules):
            names = _names(_strangers(naming, read)) if _strangers(naming, read) else family.named_alike
            return Foreign(f"this LoRA is for {names}", kindred=False)
    if len(read.unknown) < len(read.modules):
        return None
    return Foreign(f"this LoRA is for another model: none of its layers is one of {naming.trained_for}", kindred=False)


def _strangers(naming: AdapterNaming, read: ReadKeys) -> list[KnownBase]:
    """The known bases of other families that have all of the modules, in these shapes."""
    fitting = []
    for family in NAMINGS.values():
        if family.named_alike != naming.named_alike:
            found = {place.layer: shape for place, shape in placed(read.modules, family)}
            fitting += _fitting(found, family.bases, family)
    return list(dict.fromkeys(fitting))


def _is_home(base: KnownBase, layers: LayerShapes, naming: AdapterNaming) -> bool:
    """True for a base of as many blocks and the width of one that is known."""
    return _seen(layers, naming).covers(base) and hidden_size(layers.items(), naming) == base.hidden


def _other_blocks(
    naming: AdapterNaming, theirs: _Seen, candidates: list[KnownBase], ours: _Seen, home: list[KnownBase]
) -> str:
    whole = any(theirs.covers(known) for known in candidates)
    kinds = [f"{count} {blocks.kind}" for count, blocks in zip(theirs.counts, naming.blocks, strict=True)]
    counted = f"{_listed(kinds)} blocks"
    blocks = f"all of its {counted}" if whole else f"{counted} or more"
    base = f"the base is {home[0].name} and" if home else "the base"
    return f"this LoRA is for {_names(candidates)}: {blocks}, {base} has {_listed(map(str, ours.counts))}"


def _listed(words: Iterable[str]) -> str:
    """`2, 3 and 4`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _fitting(found: LayerShapes, bases: Iterable[KnownBase], naming: AdapterNaming) -> list[KnownBase]:
    """Those of the bases that have all layers found: the ones of which every block is found if there are any."""
    seen = _seen(found, naming)
    fitting = [known for known in bases if found.items() <= layers_of(known, naming).items()]
    return [known for known in fitting if seen.covers(known)] or fitting


def _names(bases: Iterable[KnownBase]) -> str:
    return " or ".join(known.name for known in bases) or "another base"


def _seen(layers: LayerShapes, naming: AdapterNaming) -> _Seen:
    blocks: dict[str, set[int]] = {each.name: set() for each in naming.blocks}
    for name in layers:
        if match := naming.block.fullmatch(name):
            blocks[match[1]].add(int(match[2]))
    return _Seen(hidden_size(layers.items(), naming), tuple(map(frozenset, blocks.values())))
