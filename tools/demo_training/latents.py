"""Pictures as the transformer sees them: packed, normalised latents of many scenes, encoded once. Trains nothing.

The BatchNorm statistics of the VAE are set here, from the latents themselves.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKLFlux2
from torch import Tensor

from demo_training.drawing import draw
from demo_training.scenes import Scene
from demo_training.stage import DEVICE, seed_of

_BATCH = 32


@torch.no_grad()
def encode_scenes(
    vae: AutoencoderKLFlux2,
    scenes: Sequence[Scene],
    name: str,
    *,
    outlined: bool = False,
    sampled: bool = True,
) -> Tensor:
    """Latents (scenes, 4 C, 4, 4) in float16, not normalised. `sampled`: drawn from the posterior, else its mean.

    Draws, since a channel that the VAE left empty would be zeros, which normalisation blows up.
    """
    encoded = []
    for start in range(0, len(scenes), _BATCH):
        pictures = draw(scenes[start : start + _BATCH], outlined=outlined).to(DEVICE)
        posterior = vae.encode(2 * pictures - 1).latent_dist
        torch.manual_seed(seed_of(name, start))
        encoded.append(pack(posterior.sample() if sampled else posterior.mode()).half().cpu())
    return torch.cat(encoded)


def cached(path: Path, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """What `make` makes, from the file if it was made before."""
    if path.is_file():
        return torch.load(path, weights_only=True)
    made = make()
    partial = path.with_suffix(".partial")
    torch.save(made, partial)
    partial.replace(path)
    return made


def set_statistics(vae: AutoencoderKLFlux2, latents: Tensor) -> None:
    """Mean and variance of each packed channel, with which the trainer and Darkroom normalise latents."""
    values = latents.float().transpose(0, 1).flatten(1)
    vae.bn.running_mean.copy_(values.mean(1))
    vae.bn.running_var.copy_(values.var(1))


def normalised(vae: AutoencoderKLFlux2, latents: Tensor) -> Tensor:
    """Tokens (n, h w, 4 C) in float32 of latents (n, 4 C, h, w): mean 0, variance 1."""
    mean, deviation = _statistics(vae)
    return ((latents.to(DEVICE).float() - mean) / deviation).flatten(2).transpose(1, 2).contiguous()


@torch.no_grad()
def decoded(vae: AutoencoderKLFlux2, tokens: Tensor) -> Tensor:
    """Square pictures (n, 3, 16 h, 16 h), 0 to 1, of tokens (n, h h, 4 C)."""
    mean, deviation = _statistics(vae)
    side = round(tokens.shape[1] ** 0.5)
    latents = tokens.transpose(1, 2).unflatten(2, (side, side)) * deviation + mean
    return (vae.decode(unpack(latents)).sample / 2 + 0.5).clamp(0, 1)


def pack(latents: Tensor) -> Tensor:
    """(n, C, 2 h, 2 w) → (n, 4 C, h, w): channel order (C, row of the pair, column of the pair)."""
    count, channels, rows, columns = latents.shape
    pairs = latents.reshape(count, channels, rows // 2, 2, columns // 2, 2).permute(0, 1, 3, 5, 2, 4)
    return pairs.reshape(count, channels * 4, rows // 2, columns // 2)


def unpack(latents: Tensor) -> Tensor:
    """The inverse of `pack`."""
    count, channels, rows, columns = latents.shape
    pairs = latents.reshape(count, channels // 4, 2, 2, rows, columns).permute(0, 1, 4, 2, 5, 3)
    return pairs.reshape(count, channels // 4, rows * 2, columns * 2)


def _statistics(vae: AutoencoderKLFlux2) -> tuple[Tensor, Tensor]:
    mean, variance = (values.view(1, -1, 1, 1) for values in (vae.bn.running_mean, vae.bn.running_var))
    return mean, torch.sqrt(variance + vae.config.batch_norm_eps)
