"""A training adapter: it makes a distilled model trainable, and is taken out again to render pictures.

ai-toolkit merges it into the base, at 1 and before anything is quantised, and cancels it while it previews: beside
each layer, at -1, in the weights' dtype (its z_image.py and network_mixins.py). It is part of the base model, and of no
stack.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.nn.functional import linear

from darkroom.errors import AdapterError
from darkroom.lora_files.naming import AdapterNaming, LayerShapes
from darkroom.render.adapters.file import Delta, read_adapter
from darkroom.render.weights.reading import Change


@dataclass(frozen=True, eq=False)
class _Branch:
    """The LoRA of one layer, (rank, columns) and (rows, rank), in the weights' dtype."""

    down: torch.Tensor
    up: torch.Tensor
    scale: float

    def merged(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight with the delta in it, rounded once."""
        down, up = (factor.to(weight.device).float() for factor in (self.down, self.up))
        return (weight.float() + (up @ down) * self.scale).to(weight.dtype)


class _Cancelling(torch.nn.Module):
    """Takes a branch out of its layer's output, wherever the layer is: its tensors come and go with the weights."""

    down: torch.Tensor
    up: torch.Tensor
    strength: torch.Tensor

    def __init__(self, branch: _Branch) -> None:
        super().__init__()
        strength = torch.tensor(-branch.scale, dtype=branch.down.dtype, device=branch.down.device)
        for name, tensor in (("down", branch.down), ("up", branch.up), ("strength", strength)):
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        return output + linear(linear(inputs.to(self.down.dtype), self.down), self.up) * self.strength


@dataclass(frozen=True, eq=False)
class TrainingAdapter:
    """By the name of the layer that it changes."""

    branches: Mapping[str, _Branch]

    @property
    def changes(self) -> Mapping[str, Change]:
        """What merging does to weights as they are read, by parameter."""
        return {f"{layer}.weight": branch.merged for layer, branch in self.branches.items()}

    def cancel(self, transformer: torch.nn.Module) -> None:
        """From now on, and before any other adapter, the layers' outputs are those without it."""
        for name, branch in self.branches.items():
            layer = transformer.get_submodule(name)
            layer.cancelling = _Cancelling(branch)
            layer.register_forward_hook(_cancel)


def _cancel(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
    """One function for all layers: compiled code (device/compiled.py) holds for those that have the same hooks."""
    cancelled: torch.Tensor = layer.get_submodule("cancelling")(inputs[0], output)
    return cancelled


def read_training_adapter(
    path: str, layers: LayerShapes, naming: AdapterNaming, dtype: torch.dtype, device: torch.device
) -> TrainingAdapter:
    """AdapterError for a file that is not a LoRA of a base with these layers."""
    adapter = read_adapter(path, layers, naming)
    return TrainingAdapter({layer: _branch(path, deltas[0], dtype, device) for layer, deltas in adapter.deltas.items()})


def _branch(path: str, delta: Delta, dtype: torch.dtype, device: torch.device) -> _Branch:
    if delta.kind != "lora" or delta.place.rows is not None:
        raise AdapterError(f"{path}: expected a LoRA with the trainer's names as training adapter, got another format")
    down, up = (delta.tensors[name].to(device, dtype) for name in ("lora_A.weight", "lora_B.weight"))
    return _Branch(down, up, delta.scale(torch.float32))
