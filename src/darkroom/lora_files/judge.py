"""Can an adapter file be applied to a base, and where does each of its keys go? Told from its header alone.

The one judge of adapters: asked before anything is rendered, while rendering, and of what a training job left.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from darkroom.display import named
from darkroom.errors import AdapterError
from darkroom.lora_files.file import LoraFile
from darkroom.lora_files.keys import LayerDelta, read_keys
from darkroom.lora_files.naming import AdapterNaming, LayerShapes
from darkroom.lora_files.origin import Foreign, foreign_to
from darkroom.lora_files.tools import tool_of

_BLOCK = re.compile(r".*?\.\d+\.")  # transformer_blocks.7.


@dataclass(frozen=True)
class Applicable:
    """What is applied, by layer, and what is not: keys of a kindred base's adapter without a place in this base."""

    deltas: Mapping[str, tuple[LayerDelta, ...]]  # several for a layer of several parts
    tool: str  # whose names the keys are, in words
    left_out: tuple[str, ...] = ()
    foreign: str = ""  # why the adapter is one of another base; "" if it is not known to be

    @property
    def keys(self) -> frozenset[str]:
        """Those that are applied."""
        return frozenset(key for own in self.deltas.values() for delta in own for key in delta.keys.values())


def judge(
    lora: LoraFile, layers: LayerShapes | None, naming: AdapterNaming, *, allow_foreign: bool = False
) -> Applicable:
    """A place for every key; AdapterError if one has none in a base with these layers.

    `layers`: None for a base that is not at hand, of which only the family is known: then a file is refused only if
    every base of the family refuses it. `allow_foreign`: of an adapter that was made for a kindred base, keys without a
    place are left out.
    """
    # 1. What the file holds
    read = read_keys(lora, naming)
    # 2. Whether it was made for another base, and what of it has no place
    shapes = {delta.place.layer: delta.shape for delta in read.deltas}
    unfit = [delta for delta in read.deltas if not _fits(delta, layers, naming)]
    foreign = foreign_to(layers, naming, read, lora.base_version)
    unfit_layers = {delta.place.layer for delta in unfit}
    # 3. Whether that is allowed
    left_out = tuple(dict.fromkeys(key for delta in unfit for key in delta.keys.values()))
    is_allowed = allow_foreign and (layers is None or _is_kindred(layers, foreign, unfit_layers, len(shapes)))
    if (unfit or foreign) and not is_allowed:
        raise AdapterError(f"{lora.path}: {_refusal(lora, foreign, left_out, is_here=layers is not None)}")
    deltas: dict[str, tuple[LayerDelta, ...]] = {}
    for delta in read.deltas:
        if delta not in unfit:
            deltas[delta.place.layer] = (*deltas.get(delta.place.layer, ()), delta)
    said = f"{foreign.reason}{lora.said_base}" if foreign else ""
    return Applicable(deltas, tool_of(lora.shapes), left_out, said)


def _fits(delta: LayerDelta, layers: LayerShapes | None, naming: AdapterNaming) -> bool:
    layer = delta.place.layer
    return naming.layer(layer) is not None if layers is None else layers.get(layer) == delta.shape


def _is_kindred(layers: LayerShapes, foreign: Foreign | None, unfit: Collection[str], total: int) -> bool:
    """True for an adapter of a kindred base that fits in part, and wholly in the blocks that both have."""
    if foreign is None or not foreign.kindred or len(unfit) == total:
        return False
    return not any(_is_in_a_block_of(layers, layer) for layer in unfit)


def _is_in_a_block_of(layers: LayerShapes, layer: str) -> bool:
    """True for a layer of a block that the base has too: a kindred base has the same layers in it."""
    block = _BLOCK.match(layer)
    return block is not None and any(known.startswith(block[0]) for known in layers)


def _refusal(lora: LoraFile, foreign: Foreign | None, unfit: Sequence[str], *, is_here: bool) -> str:
    """Why an adapter is not applied, how much of it has no place, and what would apply the rest."""
    total = len(lora.shapes)
    reason = foreign.reason if foreign else "its layers do not fit this base"
    if unfit:
        kept, rest = f". {len(unfit)} of {total} keys cannot be applied: {named(unfit)}", "the others"
    elif is_here:
        kept, rest = ". All of its keys would fit", "it all the same"
    else:
        kept, rest = "", "what of it fits"
    way_out = f"; allow_foreign_lora: true applies {rest}" if foreign and foreign.kindred and len(unfit) < total else ""
    return f"{reason}{lora.said_base}{kept}{way_out}"
