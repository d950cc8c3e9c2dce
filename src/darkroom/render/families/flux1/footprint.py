"""What FLUX.1, Flex.1 and Flex.2 take in memory, from modules on the meta device. Loads nothing, plans nothing.

docs/memory.md tells the rule in words; the tests measure it on the meta device at full size.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import nn

from darkroom.checkpoint import Checkpoint
from darkroom.render.device.footprint import base_footprints_of
from darkroom.render.device.mode import Footprint, Workload
from darkroom.render.families.autoencoder_kl import coding_bytes
from darkroom.render.families.flux1.build import build_transformer, build_vae
from darkroom.render.weights.base import DTYPES
from darkroom.request.parts import BaseModel

# Measured, with fused attention: 17.2 and 24.6 tensors of (tokens, hidden size) at a time; the second beside adapters
# that compute in float32.
_HIDDEN_STATES, _HIDDEN_STATES_LIVE = 19, 27
_FLOAT32_OF_16_BIT = 2  # live adapters are kept in float32; their files have 16 bits a number
_PIXELS_PER_TOKEN = 16 * 16


def base_footprints(
    checkpoint: Checkpoint, model: BaseModel, pictures: Collection[Workload], channels: int
) -> dict[str | None, Footprint]:
    """By quantisation, of a model whose transformer takes `channels` a token, for the largest of `pictures`."""
    transformer, _ = build_transformer(checkpoint["transformer"], channels)
    vae, _ = build_vae(checkpoint["vae"])
    return model_footprints(transformer, vae, DTYPES[model.dtype], pictures)


def model_footprints(
    transformer: nn.Module, vae: nn.Module, dtype: torch.dtype, pictures: Collection[Workload]
) -> dict[str | None, Footprint]:
    """The same for modules on the meta device."""
    return base_footprints_of(transformer, vae, dtype, pictures, denoising_bytes, coding_bytes)


def denoising_bytes(transformer: Any, dtype: torch.dtype, picture: Workload) -> int:
    """Temporaries of one forward pass and of the loop around it, and the live adapters.

    An image that conditions adds channels to the tokens there are, and no tokens.
    """
    tokens = picture.width * picture.height // _PIXELS_PER_TOKEN + picture.text_tokens
    states = _HIDDEN_STATES_LIVE if picture.live_adapters else _HIDDEN_STATES
    numbers: int = states * tokens * transformer.inner_dim
    text: int = picture.text_tokens * transformer.config.joint_attention_dim
    adapters = sum(Path(path).stat().st_size for path in picture.live_adapters)
    return (numbers + text) * dtype.itemsize + _FLOAT32_OF_16_BIT * adapters
