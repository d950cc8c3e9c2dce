"""Whether a text encoder has the size that a transformer was trained with, told by its table of tokens."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class EncoderSizes:
    """The text encoders of a kind. `states`: hidden states that a transformer reads side by side."""

    states: int
    names: Mapping[int, str]  # hidden size → the model that has it
    tokens: re.Pattern[str]  # key of the table of tokens: (tokens, hidden size)

    def misfit(self, shapes: Mapping[str, tuple[int, ...]], features: int | None) -> str | None:
        """What is wrong where a transformer reads so many features a token; None for what fits, or is not known."""
        tables = (shape for key, shape in shapes.items() if self.tokens.fullmatch(key) and len(shape) == 2)
        hidden = next(tables, (0, 0))[1]
        if not hidden or features is None or hidden * self.states == features:
            return None
        found = f"hidden size {hidden}{self._named(hidden)}"
        return f"this text encoder is for another model: {found}; {self.wanted(features)}"

    def wanted(self, features: int) -> str:
        size = features // self.states
        return f"the transformer reads {features} features a token, those of hidden size {size}{self._named(size)}"

    def _named(self, hidden: int) -> str:
        return f" ({self.names[hidden]})" if hidden in self.names else ""


FLUX2_ENCODERS = EncoderSizes(
    states=3,
    names={
        1024: "Qwen3-0.6B",
        2048: "Qwen3-1.7B",
        2560: "Qwen3-4B",
        4096: "Qwen3-8B",
        5120: "Mistral-Small-3.1 or Qwen3-14B",
    },
    tokens=re.compile(r"(.+\.)?embed_tokens\.weight|token_embd\.weight"),
)
Z_IMAGE_ENCODERS = replace(FLUX2_ENCODERS, states=1)
T5_ENCODERS = EncoderSizes(
    states=1,
    names={512: "T5-small", 768: "T5-base", 1024: "T5-large", 2048: "T5-XL", 4096: "T5-XXL"},
    tokens=re.compile(r"(.+\.)?(shared|embed_tokens)\.weight|token_embd\.weight"),
)
