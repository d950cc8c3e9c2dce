"""FLUX.1's VAE, which Flex and Z-Image have too: told from others, decoding with it, and what it takes in memory.

Pictures are scaled to 0 … 1 in the model's dtype, as in the trainer's previews.
"""

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import AutoencoderKL

from darkroom.base_files.kinds import Wanted
from darkroom.checkpoint import DIFFUSERS, Component
from darkroom.errors import CheckpointError
from darkroom.render.device.mode import Workload
from darkroom.render.families.pixels import levels
from darkroom.render.families.vae_names import sizes_of
from darkroom.render.weights.base import Base
from darkroom.render.weights.reading import read_config
from darkroom.request.parts import Sampling

LATENT_CHANNELS = 16
PIXELS_PER_LATENT = 8  # per side

_NUMBERS = {"scaling_factor": 0.3611, "shift_factor": 0.1159}  # Stable Diffusion 3's VAE has other ones, only
# Measured: 3 feature maps of the decoder's widest layer at full resolution, one more for the convolutions' workspace.
_FEATURE_MAPS = 4


def vae_config(component: Component, shapes: Mapping[str, tuple[int, ...]], wanted: Wanted) -> dict[str, Any]:
    """Arguments of AutoencoderKL: of config.json in a folder, else from the shapes of its parameters; CheckpointError.

    `wanted`: what the family needs, for messages.
    """
    if component.layout != DIFFUSERS:
        return {**sizes_of(shapes, component.path), **_NUMBERS}
    config = read_config(component, "AutoencoderKL")
    found = {name: config.get(name) for name in _NUMBERS}
    if found != _NUMBERS:
        raise CheckpointError(
            f"{component.path}/config.json: expected {_NUMBERS}, got {found}: is another model's VAE (Stable "
            f"Diffusion 3's has 1.5305 and 0.0609); {wanted.right} is needed"
        )
    return config


def latent_shape(sampling: Sampling) -> tuple[int, ...]:
    """Of a picture: (1, 16, height/8, width/8)."""
    return (1, LATENT_CHANNELS, sampling.height // PIXELS_PER_LATENT, sampling.width // PIXELS_PER_LATENT)


@torch.no_grad()
def decode(base: Base, latents: torch.Tensor) -> torch.Tensor:
    """The picture (height, width, 3), uint8 on the device, of final latents (1, 16, height/8, width/8)."""
    config = base.vae.config
    image = base.vae.decode(latents / config.scaling_factor + config.shift_factor, return_dict=False)[0]
    return levels(image)  # in the image's dtype until it is clamped


def coding_bytes(vae: Any, dtype: torch.dtype, picture: Workload) -> int:
    """Temporaries of decoding the picture; encoding an image that conditions, at the same size, takes fewer."""
    channels: int = max(vae.config.block_out_channels[:2])
    return _FEATURE_MAPS * channels * picture.width * picture.height * dtype.itemsize


def on_meta() -> Any:
    """An AutoencoderKL at its real sizes, on the meta device."""
    with torch.device("meta"):
        return AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=16,
            use_quant_conv=False,
            use_post_quant_conv=False,
        )
