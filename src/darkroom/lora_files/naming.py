"""How a family's adapter files name layers, which layers there are, and which bases are known: the values.

Each family has one, as data (flux1.py, flux2.py); families.py finds it by the family's name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
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
    """Names of layers: `<prefix><layer>`, in the old LoKr format `<old_prefix><layer with underscores>`."""

    trained_for: str  # what these files are for, in words
    named_alike: str  # all bases whose files have these names, in words
    other_tools: str  # whose files may have them as well, in words
    prefix: str
    double_blocks: str  # the list of double blocks: a layer of it is `<list>.<index>.<inside>`
    single_blocks: str
    double: Mapping[str, Layer]  # the layers inside of a double block
    single: Mapping[str, Layer]
    beside: Mapping[str, Layer]  # those in no block
    guidance: Mapping[str, Layer]  # in no block either, of bases that embed the guidance scale
    bases: tuple[KnownBase, ...]  # that the family renders, smaller ones first
    kin: tuple[KnownBase, ...] = ()  # other families' whose adapters are named alike
    old_prefix: str = "lycoris_"

    @cached_property
    def block(self) -> re.Pattern[str]:
        """Matches a layer of a block, with dots or with underscores: (list, index, inside)."""
        return re.compile(rf"({self.double_blocks}|{self.single_blocks})[._](\d+)[._](.+)")

    @cached_property
    def outside(self) -> Mapping[str, Layer]:
        """The layers in no block, of any base."""
        return {**self.beside, **self.guidance}

    def layer(self, name: str) -> Layer | None:
        """What is known of a layer, in a block of whatever index; None for a name that no base of the family has."""
        match = self.block.fullmatch(name)
        return self._inside[match[1]].get(match[3]) if match else self.outside.get(name)

    def dotted(self, name: str) -> str:
        """The layer whose dots became underscores; the name as it is where it is none of the family's."""
        match = self.block.fullmatch(name)
        if match is None:
            return self._dotted[""].get(name, name)
        inside = self._dotted[match[1]].get(match[3])
        return f"{match[1]}.{match[2]}.{inside}" if inside else name

    @cached_property
    def _inside(self) -> Mapping[str, Mapping[str, Layer]]:
        return {self.double_blocks: self.double, self.single_blocks: self.single}

    @cached_property
    def _dotted(self) -> Mapping[str, Mapping[str, str]]:
        """By the list that they are in, "" for none."""
        groups = {"": self.outside, **self._inside}
        return {group: {name.replace(".", "_"): name for name in layers} for group, layers in groups.items()}

    @property
    def lists(self) -> tuple[tuple[str, str, Mapping[str, Layer]], ...]:
        """(list, the same list in diffusers' naming, layers inside) of the double and of the single blocks."""
        return (
            (self.double_blocks, "transformer_blocks", self.double),
            (self.single_blocks, "single_transformer_blocks", self.single),
        )
