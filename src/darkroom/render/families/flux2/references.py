"""FLUX.2's reference images: from pixels to the latents and positions that go beside the picture's. Knows no files.

Against ai-toolkit's extensions_built_in/diffusion_models/flux2/src/{sampling,autoencoder}.py.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

_MOST_PIXELS = 1024**2  # of each image, however many there are
_MULTIPLE = 16  # pixels a token has a side
_FIRST_TIME, _TIME_STEP = 10, 10  # position in time of the first reference image, and from one to the next


def prepare(image: Image.Image) -> Image.Image:
    """What the model sees of an RGB image: at most a megapixel, cropped to multiples of 16 about its middle."""
    width, height = image.size
    if width * height > _MOST_PIXELS:
        scale = math.sqrt(_MOST_PIXELS / (width * height))
        image = image.resize((int(width * scale), int(height * scale)), Image.Resampling.LANCZOS)
    width, height = (side // _MULTIPLE * _MULTIPLE for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def encode(vae: Any, image: Image.Image, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Normalised latents (1, 128, height/16, width/16) of the prepared image: the mean, nothing is drawn."""
    levels = torch.from_numpy(np.array(prepare(image), dtype=np.float32) / 255.0)
    pixels = (2.0 * levels - 1.0).permute(2, 0, 1)[None].contiguous()  # contiguous: other strides, other rounding
    mean = vae.encode(pixels.to(device, dtype)).latent_dist.mode()
    return vae.bn(_shuffle(mean))  # type: ignore[no-any-return]


def tokens_and_positions(references: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """All references as tokens (1, R, 128), in bfloat16 whatever the model's dtype, and positions (R, 4)."""
    tokens = [latents.flatten(2).transpose(1, 2) for latents in references]
    positions = [_positions(latents, number) for number, latents in enumerate(references)]
    return torch.cat(tokens, 1).to(torch.bfloat16), torch.cat(positions)


def _positions(latents: torch.Tensor, number: int) -> torch.Tensor:
    rows, columns = (torch.arange(length, device=latents.device) for length in latents.shape[2:])
    time = torch.full((1,), _FIRST_TIME + _TIME_STEP * number, device=latents.device)
    return torch.cartesian_prod(time, rows, columns, torch.arange(1, device=latents.device))


def _shuffle(latents: torch.Tensor) -> torch.Tensor:
    """(1, C, 2 h, 2 w) → (1, 4 C, h, w): channel order (C, row of the pair, column of the pair)."""
    batch, channels, rows, columns = latents.shape
    pairs = latents.reshape(batch, channels, rows // 2, 2, columns // 2, 2).permute(0, 1, 3, 5, 2, 4)
    return pairs.reshape(batch, channels * 4, rows // 2, columns // 2)
