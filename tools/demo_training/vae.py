"""Trains the demo's VAE on filled and outlined shapes, the star too. Knows no words and no noise schedule."""

import random
from pathlib import Path

import torch
from diffusers import AutoencoderKLFlux2
from torch import Tensor

from demo_training.drawing import draw
from demo_training.models import tiny_vae
from demo_training.scenes import SHAPES, STAR, draw_scene
from demo_training.sheet import save_sheet
from demo_training.stage import DEVICE, Stage, reduced_precision

_BATCH = 32
_KL = 1e-3  # per latent value, against a mean absolute error per colour value


def train_vae(folder: Path, steps: int) -> AutoencoderKLFlux2:
    """The VAE after `steps` steps, those that `folder` has the state of left out."""
    torch.manual_seed(0)
    vae = tiny_vae().to(DEVICE)
    with torch.no_grad():  # little noise at first: as much as the encoder says, nothing would come through it
        vae.quant_conv.bias[vae.config.latent_channels :] = -4.0
    group = {"params": list(vae.parameters()), "scale": 1.0}
    optimiser = torch.optim.AdamW([group], betas=(0.9, 0.99), weight_decay=0.0)
    stage = Stage("vae", folder, steps, peak_rate=2e-3)

    def step(number: int, rng: random.Random) -> dict[str, float]:
        pictures = 2 * _pictures(rng, _BATCH) - 1
        with reduced_precision():
            posterior = vae.encode(pictures).latent_dist
            again = vae.decode(posterior.sample()).sample
        error = (again.float() - pictures).abs()
        mean, variance = posterior.mean.float(), posterior.var.float()
        kl = 0.5 * (mean**2 + variance - 1 - variance.log()).mean()
        optimiser.zero_grad()
        ((error * _weights(pictures)).mean() + _KL * kl).backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        return {
            "error": error.mean().item(),
            "kl": kl.item(),
            "noise": variance.sqrt().mean().item(),
        }

    stage.run(
        {"vae": vae},
        {"optimiser": optimiser},
        step,
        lambda number: _look(vae, stage, number),
        look_every=500,
    )
    return vae.eval()


def _pictures(rng: random.Random, count: int) -> Tensor:
    """Of every kind that the VAE learns, (count, 3, SIDE, SIDE), 0 to 1."""
    outlined = count // 4
    scenes = [draw_scene(rng, shapes=(*SHAPES, STAR)) for _ in range(count)]
    return torch.cat([draw(scenes[outlined:]), draw(scenes[:outlined], outlined=True)]).to(DEVICE)


def _weights(pictures: Tensor) -> Tensor:
    """(n, 1, h, w): 1 on the ground, as the top left corner has it, and more within three pixels of anything else."""
    stands_out = (pictures - pictures[:, :, :1, :1]).abs().amax(1, keepdim=True) > 0.06
    return 1 + 4 * torch.nn.functional.max_pool2d(stands_out.float(), 7, stride=1, padding=3)


def _look(vae: AutoencoderKLFlux2, stage: Stage, number: int) -> None:
    pictures = _pictures(random.Random(1), 16)
    with torch.no_grad():
        again = vae.decode(vae.encode(2 * pictures - 1).latent_dist.mode()).sample / 2 + 0.5
    save_sheet(
        torch.cat([pictures, again]),
        16,
        stage.folder / f"{stage.name}_{number:06d}.png",
    )
