"""The denoising loop that FLUX.1, Flex.1 and Flex.2 share. Knows no files and no text encoder.

Numerics are diffusers' own, as in the trainer's previews: its scheduler steps, the timestep is rounded as 1000 sigma
and divided again, guidance comes in float32, and pictures are scaled to 0 … 1 in the model's dtype. What corrects
FLUX.2 (flux2/exact.py, sampling.euler) is wrong here.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from darkroom.errors import ConfigError
from darkroom.render.device.stream import to_device
from darkroom.render.families.autoencoder_kl import latent_shape
from darkroom.render.families.sampling import linear_mu
from darkroom.render.families.sampling import noise as gaussian
from darkroom.render.weights.base import Base
from darkroom.request.parts import POOLED_PROMPT_EMBEDS, PROMPT_EMBEDS, Sampling

_PIXELS_PER_TOKEN = 16  # per side: 8 in the VAE, 2 in packing
_TRAINING_STEPS = 1000


def draw(sampling: Sampling, drawn_from: torch.Generator, base: Base) -> torch.Tensor:
    """Gaussian noise in the shape of the picture's latents (1, 16, height/8, width/8): the generator's next numbers."""
    return to_device(gaussian(latent_shape(sampling), drawn_from, base.dtype), base.device)


@torch.no_grad()
def denoise(
    base: Base,
    sampling: Sampling,
    prompt: Mapping[str, torch.Tensor],
    noise: torch.Tensor,
    on_step: Callable[[int], None],
    beside: torch.Tensor | None = None,
) -> tuple[torch.Tensor, list[float]]:
    """Final latents (1, 16, height/8, width/8) before scaling and shift, and the sigmas used.

    `noise` by `draw`; `beside` (1, tokens, channels) is what the transformer sees with the latents in each step.
    """
    if sampling.schedule != "aitk":
        raise ConfigError(f"schedule: expected aitk, got {sampling.schedule}: {base.name}'s trainer has diffusers' own")
    tokens = pack(noise)
    scheduler = _scheduler(sampling.sample_steps, tokens.shape[1])
    fixed = _fixed_inputs(base, sampling, prompt)
    for step, time in enumerate(to_device(scheduler.timesteps, base.device)):
        velocity = base.transformer(
            hidden_states=tokens if beside is None else torch.cat([tokens, beside], 2),
            timestep=time.expand(1).to(base.dtype) / _TRAINING_STEPS,
            **fixed,
            return_dict=False,
        )[0]
        tokens = scheduler.step(velocity, time, tokens, return_dict=False)[0]
        on_step(step)
    return _unpack(tokens, *noise.shape[2:]), scheduler.sigmas.tolist()


def pack(latents: torch.Tensor) -> torch.Tensor:
    """(1, C, 2 h, 2 w) → (1, h · w, 4 C): channel order (C, row of the pair, column of the pair)."""
    batch, channels, rows, columns = latents.shape
    pairs = latents.reshape(batch, channels, rows // 2, 2, columns // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return pairs.reshape(batch, rows // 2 * (columns // 2), channels * 4)


def _unpack(tokens: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """The inverse of `pack`; rows and columns of the latents."""
    batch, _, channels = tokens.shape
    pairs = tokens.reshape(batch, rows // 2, columns // 2, channels // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return pairs.reshape(batch, channels // 4, rows, columns)


def _scheduler(steps: int, tokens: int) -> Any:
    """Constants of ai-toolkit, not of the model's folder; the shift of 3.0 has no effect beside the dynamic one."""
    scheduler = FlowMatchEulerDiscreteScheduler(
        num_train_timesteps=_TRAINING_STEPS,
        shift=3.0,
        use_dynamic_shifting=True,
        base_shift=0.5,
        max_shift=1.15,
        base_image_seq_len=256,
        max_image_seq_len=4096,
    )
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=linear_mu(tokens))
    scheduler.set_begin_index(0)
    return scheduler


def _fixed_inputs(base: Base, sampling: Sampling, prompt: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What is the same in every step. Positions are in the model's dtype, and in bfloat16 not exact beyond 256."""
    rows, columns = sampling.height // _PIXELS_PER_TOKEN, sampling.width // _PIXELS_PER_TOKEN
    text = prompt[PROMPT_EMBEDS].to(base.device, base.dtype)
    positions = torch.cartesian_prod(torch.arange(1), torch.arange(rows), torch.arange(columns))
    return {
        "guidance": torch.full([1], sampling.guidance_scale, dtype=torch.float32, device=base.device),
        "pooled_projections": prompt[POOLED_PROMPT_EMBEDS].to(base.device, base.dtype),
        "encoder_hidden_states": text,
        "txt_ids": torch.zeros(text.shape[1], 3, dtype=base.dtype, device=base.device),
        "img_ids": to_device(positions.to(base.dtype), base.device),
    }
