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


Shares = Mapping[str, int]  # the layers in the rows of a module, in order, and how many of its equal blocks each one is


@dataclass(frozen=True)
class OtherNames:
    """How other tools than the trainer name modules, where that is more than a part of a layer: with their layers."""

    double_blocks: str
    single_blocks: str
    double: Mapping[str, Shares]
    single: Mapping[str, Shares]
    beside: Mapping[str, Shares] = field(default_factory=dict)
    swapped: str = ""  # the module of `beside` that has its halves the other way round


@dataclass(frozen=True)
class KnownBase:
    """A base model that adapters are trained on."""

    name: str  # as people call it, for messages
    header: str  # ss_base_model_version, as ai-toolkit writes it into the files
    repos: tuple[str, ...]  # of the hub, that hold it, distilled or not
    hidden: int
    double_blocks: int
    single_blocks: int
    channels: int  # that its transformer takes a token
    text_features: int  # of a token of the prompt
    embeds_guidance: bool


@dataclass(frozen=True)
class AdapterNaming:
    """Names of layers, which are the trainer's, and of other tools' modules: a layer, a part of one, or several."""

    trained_for: str  # what these files are for, in words
    named_alike: str  # all bases whose files have these names, in words
    double_blocks: str  # the list of double blocks: a layer of it is `<list>.<index>.<inside>`
    single_blocks: str
    double: Mapping[str, Layer]  # the layers inside of a double block
    single: Mapping[str, Layer]
    beside: Mapping[str, Layer]  # those in no block
    guidance: Mapping[str, Layer]  # in no block either, of bases that embed the guidance scale
    bases: tuple[KnownBase, ...]  # that the family renders, smaller ones first
    others: tuple[OtherNames, ...]
    kin: tuple[KnownBase, ...] = ()  # other families' whose adapters are named alike

    @cached_property
    def block(self) -> re.Pattern[str]:
        """Matches a layer of a block: (list, index, inside)."""
        return re.compile(rf"({self.double_blocks}|{self.single_blocks})\.(\d+)\.(.+)")

    @cached_property
    def outside(self) -> Mapping[str, Layer]:
        """The layers in no block, of any base."""
        return {**self.beside, **self.guidance}

    def layer(self, name: str) -> Layer | None:
        """What is known of a layer, in a block of whatever index; None for a name that no base of the family has."""
        match = self.block.fullmatch(name)
        inside = {self.double_blocks: self.double, self.single_blocks: self.single}
        return inside[match[1]].get(match[3]) if match else self.outside.get(name)

    def places(self, module: str) -> tuple[Place, ...]:
        """Where the delta of a module goes, its dots as they are or as underscores; () for one of no base."""
        match = self._in_a_block.fullmatch(module)
        if match is None:
            return self.modules[""].get(module, ())
        own = self.double_blocks if match[1] in self._double_lists else self.single_blocks
        inside = self.modules[match[1]].get(match[3], ())
        return tuple(replace(place, layer=f"{own}.{match[2]}.{place.layer}") for place in inside)

    def is_in_a_block(self, module: str) -> bool:
        """True for a module in a list of blocks as some tool names them, whether a base has it or not."""
        return self._in_a_block.fullmatch(module) is not None

    @property
    def lists(self) -> tuple[tuple[str, str, Mapping[str, Layer]], ...]:
        """(list, the same list in diffusers' naming, layers inside) of the double and of the single blocks."""
        return (
            (self.double_blocks, "transformer_blocks", self.double),
            (self.single_blocks, "single_transformer_blocks", self.single),
        )

    @cached_property
    def _double_lists(self) -> frozenset[str]:
        return frozenset((*self.lists[0][:2], *(names.double_blocks for names in self.others)))

    @cached_property
    def _in_a_block(self) -> re.Pattern[str]:
        lists = "|".join(name for name in self.modules if name)
        return re.compile(rf"({lists})[._](\d+)[._](.+)")

    @cached_property
    def modules(self) -> Mapping[str, Mapping[str, tuple[Place, ...]]]:
        """By the list that a module is in, "" for none, and by its name inside, with dots and with underscores."""
        found: dict[str, dict[str, tuple[Place, ...]]] = defaultdict(dict)
        for own, diffusers, layers in (*self.lists, ("", "", self.outside)):
            for name, layer in layers.items():
                found[own][name] = (Place(name),)
                found[diffusers] |= {part: (Place(name, part=i),) for i, part in enumerate(layer.parts)}
        for names in self.others:
            for blocks, modules in (
                (names.double_blocks, names.double),
                (names.single_blocks, names.single),
                ("", names.beside),
            ):
                found[blocks] |= {name: _shared(shares, name == names.swapped) for name, shares in modules.items()}
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
