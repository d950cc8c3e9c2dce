"""What Z-Image and its text encoder take in memory, from modules on the meta device. Loads nothing, plans nothing.

docs/memory.md tells each rule in words; the tests measure them on the meta device at full size.
"""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from darkroom.checkpoint import TRAINING_ADAPTER, Checkpoint
from darkroom.render.device.footprint import READING_BYTES, base_footprints_of, footprints_of
from darkroom.render.device.mode import Footprint, Workload
from darkroom.render.families.autoencoder_kl import coding_bytes
from darkroom.render.families.zimage.build import build_transformer, build_vae
from darkroom.render.weights.base import DTYPES, TextEncoder
from darkroom.request.parts import BaseModel

# Measured, with fused attention: 16.4 and 21.2 tensors of (tokens, hidden size) at a time; the second beside adapters
# that compute in float32.
_HIDDEN_STATES, _HIDDEN_STATES_LIVE = 18, 23
_FLOAT32_OF_16_BIT = 2  # live adapters are kept in float32; their files have 16 bits a number
_PIXELS_PER_TOKEN = 16 * 16


def footprints(checkpoint: Checkpoint, model: BaseModel, pictures: Collection[Workload]) -> dict[str | None, Footprint]:
    """What the base model takes in memory, by quantisation, for the largest of `pictures`."""
    transformer, vae = build_transformer(checkpoint["transformer"])[0], build_vae(checkpoint["vae"])[0]
    found = model_footprints(transformer, vae, DTYPES[model.dtype], pictures)
    adapter = checkpoint.components.get(TRAINING_ADAPTER)
    beside = Path(adapter.path).stat().st_size if adapter else 0  # cancelled beside the layers, in their dtype
    return {quantization: replace(each, computing=each.computing + beside) for quantization, each in found.items()}


def model_footprints(
    transformer: nn.Module, vae: nn.Module, dtype: torch.dtype, pictures: Collection[Workload]
) -> dict[str | None, Footprint]:
    """The same for modules on the meta device, without a training adapter."""
    return base_footprints_of(transformer, vae, dtype, pictures, denoising_bytes, coding_bytes)


def text_footprints(text_encoder: TextEncoder) -> dict[str | None, Footprint]:
    """By quantisation, of a text encoder that is loaded."""
    return text_model_footprints(text_encoder.model, text_encoder.max_sequence_length, text_encoder.dtype)


def text_model_footprints(model: nn.Module, tokens: int, dtype: torch.dtype) -> dict[str | None, Footprint]:
    """By quantisation, of a text encoder on the meta device that has the layers it runs and no others."""
    config: Any = model.config
    layer = 10 * config.hidden_size + 3 * config.intermediate_size + 4 * tokens  # attention, gated MLP, masks
    return footprints_of(model, dtype, READING_BYTES, computing=tokens * layer * dtype.itemsize)


def denoising_bytes(transformer: Any, dtype: torch.dtype, picture: Workload) -> int:
    """Temporaries of one forward pass, of both texts where there are two, and the live adapters."""
    tokens = picture.width * picture.height // _PIXELS_PER_TOKEN + picture.text_tokens
    states = _HIDDEN_STATES_LIVE if picture.live_adapters else _HIDDEN_STATES
    numbers: int = states * tokens * picture.passes * transformer.config.dim
    adapters = sum(Path(path).stat().st_size for path in picture.live_adapters)
    return numbers * dtype.itemsize + _FLOAT32_OF_16_BIT * adapters
