"""How a family's adapter files name layers, which layers there are, and which bases are known: the values.

Each family has one, as data (flux1.py, flux2.py); families.py finds it by the family's name.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from typing import Literal

LayerShapes = Mapping[str, tuple[int, int]]  # layer → (rows out, columns in)


@dataclass(frozen=True)
class Hidden:
    """A size of so many times the hidden size."""

    times: int = 1

    def __rmul__(self, times: int) -> "Hidden":
        return Hidden(times * self.times)


HIDDEN = Hidden()
Size = int | Hidden | Literal["channels", "text_features"]  # the last two as the base has them


@dataclass(frozen=True)
class Layer:
    """A linear layer. `parts`: the modules of diffusers that are its row blocks; () for one of the same name."""

    rows: Size
    columns: Size
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """Of `of` equal blocks of rows those from `start` up to `stop`."""

    start: int
    stop: int
    of: int


@dataclass(frozen=True)
class Place:
    """A layer that the delta of a module, as some tool names it, is added to."""

    layer: str
    part: int | None = None  # of Layer.parts; None for the whole layer
    rows: Rows | None = None  # of the delta; None for all of them
    swap_halves: bool = False  # of those rows, before they are added


@dataclass(frozen=True)
class Blocks:
    """A list of blocks of one kind: a layer of it is `<name>.<index>.<inside>`."""

    name: str
    diffusers: str  # the same list in diffusers' naming
    kind: str  # of such a block, in a word
    inside: Mapping[str, Layer]


Shares = Mapping[str, int]  # the layers in the rows of a module, in order, and how many of its equal blocks each one is


@dataclass(frozen=True)
class OtherNames:
    """How other tools than the trainer name modules, where that is more than a part of a layer: with their layers."""

    blocks: tuple[
        tuple[str, Mapping[str, Shares]], ...
    ]  # the name of each list, in the family's order, and its modules
    beside: Mapping[str, Shares] = field(default_factory=dict)
    swapped: str = ""  # the module of `beside` that has its halves the other way round


@dataclass(frozen=True)
class KnownBase:
    """A base model that adapters are trained on."""

    name: str  # as people call it, for messages
    header: str  # ss_base_model_version, as ai-toolkit writes it into the files
    repos: tuple[str, ...]  # of the hub, that hold it, distilled or not
    hidden: int
    blocks: tuple[int, ...]  # in each list of the family, in its order
    channels: int  # that its transformer takes a token
    text_features: int  # of a token of the prompt
    embeds_guidance: bool


@dataclass(frozen=True)
class AdapterNaming:
    """Names of layers, which are the trainer's, and of other tools' modules: a layer, a part of one, or several."""

    trained_for: str  # what these files are for, in words
    named_alike: str  # all bases whose files have these names, in words
    blocks: tuple[Blocks, ...]
    beside: Mapping[str, Layer]  # the layers in no block
    guidance: Mapping[str, Layer]  # in no block either, of bases that embed the guidance scale
    bases: tuple[KnownBase, ...]  # that the family renders, smaller ones first
    others: tuple[OtherNames, ...]
    kin: tuple[KnownBase, ...] = ()  # other families' whose adapters are named alike

    @cached_property
    def block(self) -> re.Pattern[str]:
        """Matches a layer of a block: (list, index, inside)."""
        return re.compile(rf"({'|'.join(blocks.name for blocks in self.blocks)})\.(\d+)\.(.+)")

    @cached_property
    def outside(self) -> Mapping[str, Layer]:
        """The layers in no block, of any base."""
        return {**self.beside, **self.guidance}

    def layer(self, name: str) -> Layer | None:
        """What is known of a layer, in a block of whatever index; None for a name that no base of the family has."""
        match = self.block.fullmatch(name)
        inside = {blocks.name: blocks.inside for blocks in self.blocks}
        return inside[match[1]].get(match[3]) if match else self.outside.get(name)

    def places(self, module: str) -> tuple[Place, ...]:
        """Where the delta of a module goes, its dots as they are or as underscores; () for one of no base."""
        match = self._in_a_block.fullmatch(module)
        if match is None:
            return self.modules[""].get(module, ())
        inside = self.modules[match[1]].get(match[3], ())
        return tuple(replace(place, layer=f"{self._own[match[1]]}.{match[2]}.{place.layer}") for place in inside)

    def is_in_a_block(self, module: str) -> bool:
        """True for a module in a list of blocks as some tool names them, whether a base has it or not."""
        return self._in_a_block.fullmatch(module) is not None

    @cached_property
    def _own(self) -> Mapping[str, str]:
        """The family's own name of a list of blocks, by the one that some tool has."""
        return {
            name: blocks.name
            for i, blocks in enumerate(self.blocks)
            for name in (blocks.name, blocks.diffusers, *(names.blocks[i][0] for names in self.others))
        }

    @cached_property
    def _in_a_block(self) -> re.Pattern[str]:
        return re.compile(rf"({'|'.join(self._own)})[._](\d+)[._](.+)")

    @cached_property
    def modules(self) -> Mapping[str, Mapping[str, tuple[Place, ...]]]:
        """By the list that a module is in, "" for none, and by its name inside, with dots and with underscores."""
        found: dict[str, dict[str, tuple[Place, ...]]] = defaultdict(dict)
        own = [(blocks.name, blocks.diffusers, blocks.inside) for blocks in self.blocks]
        for name, diffusers, layers in (*own, ("", "", self.outside)):
            for layer, known in layers.items():
                found[name][layer] = (Place(layer),)
                found[diffusers] |= {part: (Place(layer, part=i),) for i, part in enumerate(known.parts)}
        for names in self.others:
            for name, modules in (*names.blocks, ("", names.beside)):
                found[name] |= {module: _shared(shares, module == names.swapped) for module, shares in modules.items()}
        return {
            blocks: {**{name.replace(".", "_"): places for name, places in modules.items()}, **modules}
            for blocks, modules in found.items()
        }


def _shared(shares: Shares, swapped: bool) -> tuple[Place, ...]:
    """The places of a module with these layers in its rows."""
    ends = list(accumulate(shares.values()))
    starts = [0, *ends[:-1]]
    return tuple(
        Place(layer, rows=Rows(start, end, ends[-1]) if len(shares) > 1 else None, swap_halves=swapped)
        for layer, start, end in zip(shares, starts, ends, strict=True)
    )
