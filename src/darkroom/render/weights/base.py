"""A loaded base model and a loaded text encoder, as values that the families make and the worker keeps.

The families (render/families) load and run them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from darkroom.errors import CheckpointError
from darkroom.render.weights.reading import BaseWeights, Part
from darkroom.request.parts import BaseModel

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


@dataclass(frozen=True, eq=False)
class Base:
    """Transformer and VAE, and all that adapters need to merge into the transformer and to undo it exactly."""

    name: str  # as configured, for messages
    model: BaseModel  # as which it was loaded
    transformer: Any
    vae: Any
    weights: BaseWeights  # of the transformer, as its files have them
    text_features: Mapping[str, int]  # that it reads of each tensor of an embedding, by name
    adapter_modules: Mapping[str, tuple[Part, ...]]  # a linear layer by the name that adapters use → its parameters
    dtype: torch.dtype
    device: torch.device  # where it computes; between uses, its weights may rest elsewhere

    def check_features(self, embeds: Mapping[str, torch.Tensor], source: str) -> None:
        """CheckpointError for an embedding of another model's. `source`: the file or text encoder that it is from."""
        found = {name: tensor.shape[-1] for name, tensor in embeds.items()}
        if found != self.text_features:
            raise CheckpointError(
                f"{source}: is for another model: the transformer of {self.name} reads features {self.text_features}, "
                f"got {found}"
            )

    def adapter_shapes(self) -> dict[str, tuple[int, int]]:
        """(rows out, columns in) of each layer that an adapter can name."""
        shapes = {}
        for module, parts in self.adapter_modules.items():
            rows, columns = self.transformer.get_parameter(parts[0].parameter).shape
            shapes[module] = (rows * len(parts), columns)
        return shapes


def linear_layers(transformer: torch.nn.Module) -> dict[str, tuple[Part, ...]]:
    """Base.adapter_modules of a transformer whose layers adapters name as diffusers does: each by its own name."""
    layers = (name for name, layer in transformer.named_modules() if isinstance(layer, torch.nn.Linear))
    return {name: (Part(f"{name}.weight"),) for name in layers}


@dataclass(frozen=True, eq=False)
class TextEncoder:
    """A text encoder with its tokenizer; `max_sequence_length` in tokens, to which every prompt is padded."""

    model: Any
    tokenizer: Any
    max_sequence_length: int
    dtype: torch.dtype
    device: torch.device
