"""Turbo's training adapter, as a part of the checkpoint."""

from collections.abc import Iterator
from typing import Any

import torch

from darkroom.checkpoint import TRAINING_ADAPTER, Checkpoint
from darkroom.errors import DarkroomError, caught
from darkroom.lora_files.file import read_lora
from darkroom.lora_files.judge import judge
from darkroom.lora_files.zimage import Z_IMAGE_NAMING
from darkroom.render.adapters.training import TrainingAdapter, read_training_adapter
from darkroom.render.families.zimage.build import build_transformer


def check_training_adapter(checkpoint: Checkpoint) -> Iterator[DarkroomError]:
    """Why it is not one of the transformer's, as far as its header shows."""
    component = checkpoint.components.get(TRAINING_ADAPTER)
    if component is not None:
        layers = _layers(build_transformer(checkpoint["transformer"])[0])
        yield from caught(lambda: judge(read_lora(component.path), layers, Z_IMAGE_NAMING))


def training_adapter_of(
    checkpoint: Checkpoint, transformer: Any, dtype: torch.dtype, device: torch.device
) -> TrainingAdapter | None:
    """AdapterError for a file that is not one of this transformer's; None where the checkpoint has none."""
    component = checkpoint.components.get(TRAINING_ADAPTER)
    if component is None:
        return None
    return read_training_adapter(component.path, _layers(transformer), Z_IMAGE_NAMING, dtype, device)


def _layers(transformer: Any) -> dict[str, tuple[int, int]]:
    return {
        name: (layer.out_features, layer.in_features)
        for name, layer in transformer.named_modules()
        if isinstance(layer, torch.nn.Linear)
    }
