"""Noise, schedules and the Euler loop: pure functions of values. Knows no model, no prompt and no file."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch

from darkroom.errors import ConfigError

# Shift of the flow schedule, linear in the number of image tokens: 0.5 at 256 (256²), 1.15 at 4096 (1024²), not capped.
_TOKENS_LOW, _MU_LOW = 256, 0.5
_TOKENS_HIGH, _MU_HIGH = 4096, 1.15


def aitk_sigmas(steps: int, tokens: int) -> list[float]:
    """ai-toolkit's schedule for FLUX.2: steps + 1 falling sigmas, 1 to 0; `tokens` without reference images.

    Computed in float32 like the trainer's get_schedule (extensions_built_in/diffusion_models/flux2/src/sampling.py).
    """
    mu = linear_mu(tokens)
    times = torch.linspace(1, 0, steps + 1)
    sigmas: list[float] = (math.exp(mu) / (math.exp(mu) + (1 / times - 1))).tolist()
    return sigmas


def linear_mu(tokens: int) -> float:
    """The shift of ai-toolkit's schedule for FLUX.2 and of FLUX.1's: diffusers' `calculate_shift`, as it rounds."""
    slope = (_MU_HIGH - _MU_LOW) / (_TOKENS_HIGH - _TOKENS_LOW)
    return slope * tokens + (_MU_LOW - slope * _TOKENS_LOW)


def diffusers_sigmas(steps: int, tokens: int) -> list[float]:
    """The stock schedule of diffusers' Flux2 pipelines: like `aitk_sigmas`, with the mu fitted by BFL."""
    # Imported here because the pipeline's module brings transformers along, which a render worker does not need.
    from diffusers import FlowMatchEulerDiscreteScheduler
    from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu

    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=compute_empirical_mu(tokens, steps))
    sigmas: list[float] = scheduler.sigmas.tolist()
    return sigmas


def generator(seed: int, device: str) -> torch.Generator:
    """What noise is drawn from: on the "cpu", so that every device gives the same picture; on "cuda" as others do.

    ConfigError where there is no GPU to draw on.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "there is no GPU here to draw the noise on (noise_device: cuda); expected cpu, as the trainer"
        )
    return torch.Generator(device).manual_seed(seed)


def noise(shape: tuple[int, ...], drawn_from: torch.Generator, dtype: torch.dtype) -> torch.Tensor:
    """Gaussian noise, the generator's next numbers, on its device."""
    return torch.randn(shape, generator=drawn_from, dtype=dtype, device=drawn_from.device)


def timestep(sigma: float, rounding: str, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """(1,) in `dtype`, the time as FLUX.2's transformer is told it: the sigma itself, rounded once ("aitk").

    "diffusers": as its pipelines round: 1000 sigma first, then that divided by 1000.
    """
    if rounding == "aitk":
        return torch.full((1,), sigma, dtype=dtype, device=device)
    return (torch.full((1,), sigma, device=device) * 1000).to(dtype) / 1000


def euler(
    latents: torch.Tensor,
    sigmas: Sequence[float],
    predict: Callable[[torch.Tensor, float], torch.Tensor],
    on_step: Callable[[int], None],
) -> torch.Tensor:
    """Euler steps of `predict(latents, sigma)` along `sigmas`, in the latents' dtype; on_step(0), (1), … after each.

    The step size is a Python float: as a tensor it would be rounded to the latents' dtype first.
    """
    for step, (sigma, following) in enumerate(pairwise(sigmas)):
        latents = latents + (following - sigma) * predict(latents, sigma)
        on_step(step)
    return latents
