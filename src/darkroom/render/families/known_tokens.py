"""The tokens that the trainer's tokenizers make of one sentence, by which another model's tokenizer is found out."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class KnownTokens:
    """Holds for text encoders with a table of so many tokens; those of tests and of the demo have fewer."""

    vocabulary: int
    text: str
    ids: tuple[int, ...]  # the last ones, where something is said before the text

    def are_others(self, vocabulary: int, ids: Sequence[int]) -> bool:
        """Whether these, of the text, come from another model's tokenizer than one with that many tokens."""
        return vocabulary == self.vocabulary and tuple(ids[-len(self.ids) :]) != self.ids

    def told(self, ids: Sequence[int]) -> str:
        made, expected = ([*given[-len(self.ids) :]] for given in (ids, self.ids))
        return f"makes the tokens {made} of '{self.text}', where the trainer's makes {expected}"
