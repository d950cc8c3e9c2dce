"""What FLUX.2 and its text encoders take in memory, from modules on the meta device. Loads nothing, plans nothing.

docs/memory.md tells each rule in words; the tests measure them on the meta device at full size.
"""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from darkroom.checkpoint import Checkpoint
from darkroom.render.device.footprint import READING_BYTES, base_footprints_of, footprints_of
from darkroom.render.device.mode import Footprint, Workload
from darkroom.render.families.flux2.build import build_transformer, build_vae
from darkroom.render.weights.base import DTYPES, TextEncoder
from darkroom.request.parts import BaseModel

# Measured, with fused attention: 22.4 and 47.5 tensors of (tokens, hidden size) at a time; the second beside adapters
# that compute in float32.
_HIDDEN_STATES, _HIDDEN_STATES_LIVE = 24, 52
# Measured: 4 feature maps of the decoder's widest layer at full resolution, one more for the convolutions' workspace.
_FEATURE_MAPS = 5
_FLOAT32_OF_16_BIT = 2  # live adapters are kept in float32; their files have 16 bits a number
_REFERENCE_PIXELS = 1024**2  # at most, each; pixels
_PIXELS_PER_TOKEN = 16 * 16


def footprints(checkpoint: Checkpoint, model: BaseModel, pictures: Collection[Workload]) -> dict[str | None, Footprint]:
    """What the base model takes in memory, by quantisation, for the largest of `pictures`."""
    transformer, vae = build_transformer(checkpoint["transformer"])[0], build_vae(checkpoint["vae"])[0]
    if not model.batched_guidance:
        pictures = [replace(picture, passes=1) for picture in pictures]  # one after the other
    return model_footprints(transformer, vae, DTYPES[model.dtype], pictures)


def model_footprints(
    transformer: nn.Module, vae: nn.Module, dtype: torch.dtype, pictures: Collection[Workload]
) -> dict[str | None, Footprint]:
    """The same for modules on the meta device."""
    return base_footprints_of(transformer, vae, dtype, pictures, denoising_bytes, coding_bytes)


def text_footprints(text_encoder: TextEncoder) -> dict[str | None, Footprint]:
    """By quantisation, of a text encoder that is loaded."""
    return text_model_footprints(text_encoder.model, text_encoder.max_sequence_length, text_encoder.dtype)


def text_model_footprints(model: nn.Module, tokens: int, dtype: torch.dtype) -> dict[str | None, Footprint]:
    """By quantisation, of a text encoder on the meta device that has the layers it runs and no others."""
    config: Any = model.config
    kept = (config.num_hidden_layers + 1) * config.hidden_size  # all hidden states, from which a few are picked
    layer = 10 * config.hidden_size + 3 * config.intermediate_size + 4 * tokens  # attention, gated MLP, masks
    joined = 2 * 3 * config.hidden_size
    computing = tokens * (kept + layer + joined) * dtype.itemsize
    return footprints_of(model, dtype, READING_BYTES, computing=computing)


def denoising_bytes(transformer: Any, dtype: torch.dtype, picture: Workload) -> int:
    """Temporaries of one forward pass and of the loop around it, and the live adapters."""
    image = picture.width * picture.height // _PIXELS_PER_TOKEN
    tokens = image + picture.references * (_REFERENCE_PIXELS // _PIXELS_PER_TOKEN) + picture.text_tokens
    states = _HIDDEN_STATES_LIVE if picture.live_adapters else _HIDDEN_STATES
    numbers: int = states * tokens * picture.passes * transformer.inner_dim
    texts: int = 2 * picture.text_tokens * transformer.config.joint_attention_dim
    adapters = sum(Path(path).stat().st_size for path in picture.live_adapters)
    return (numbers + texts) * dtype.itemsize + _FLOAT32_OF_16_BIT * adapters


def coding_bytes(vae: Any, dtype: torch.dtype, picture: Workload) -> int:
    """Temporaries of decoding the picture; encoding a reference image, which is a megapixel at most, takes fewer."""
    pixels = max(picture.width * picture.height, _REFERENCE_PIXELS if picture.references else 0)
    encoder, decoder = vae.config.block_out_channels, vae.config.decoder_block_out_channels
    channels: int = max((*encoder[:2], *(decoder or ())[:2]))
    return _FEATURE_MAPS * channels * pixels * dtype.itemsize
