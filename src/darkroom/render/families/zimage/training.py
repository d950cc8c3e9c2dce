"""Turbo's training adapter, as a part of the checkpoint."""

from typing import Any

import torch

from darkroom.checkpoint import TRAINING_ADAPTER, Checkpoint
from darkroom.lora_files.zimage import Z_IMAGE_NAMING
from darkroom.render.adapters.training import TrainingAdapter, read_training_adapter


def training_adapter_of(
    checkpoint: Checkpoint, transformer: Any, dtype: torch.dtype, device: torch.device
) -> TrainingAdapter | None:
    """AdapterError for a file that is not one of this transformer's; None where the checkpoint has none."""
    component = checkpoint.components.get(TRAINING_ADAPTER)
    if component is None:
        return None
    layers = {
        name: (layer.out_features, layer.in_features)
        for name, layer in transformer.named_modules()
        if isinstance(layer, torch.nn.Linear)
    }
    return read_training_adapter(component.path, layers, Z_IMAGE_NAMING, dtype, device)
