"""How a family's adapter files name its layers, and which bases they are made for, as values. Knows no family.

The families define their own value (families/*); it travels on Base to those who read adapters.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class KnownBase:
    """A base model that adapters are trained on, as far as they show it."""

    name: str  # as people call it, for messages
    header: str  # ss_base_model_version, as ai-toolkit writes it into the files
    hidden: int
    double_blocks: int
    single_blocks: int


@dataclass(frozen=True)
class AdapterNaming:
    """Names of layers: `<prefix><layer>`, in the old LoKr format `<old_prefix><layer with underscores>`."""

    trained_for: str  # what these files are for, in words
    prefix: str
    double_blocks: str  # the list of double blocks: a layer of it is `<list>.<index>.<inside>`
    single_blocks: str
    hidden_side: Mapping[str, int]  # layers (or insides) that show the hidden size: 0 in rows out, 1 in columns in
    bases: tuple[KnownBase, ...]  # that the family renders, smaller ones first
    kin: tuple[KnownBase, ...] = ()  # other families' whose adapters are named alike
    old_prefix: str = "lycoris_"

    @cached_property
    def block(self) -> re.Pattern[str]:
        """Matches a layer of a block, with dots or with underscores: (list, index, inside)."""
        return re.compile(rf"({self.double_blocks}|{self.single_blocks})[._](\d+)[._](.+)")
