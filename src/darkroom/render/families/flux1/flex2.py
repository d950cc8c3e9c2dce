"""Flex.2: load, encode, denoise, decode, with one image as control or for inpainting. Knows no ids, files, jobs.

Its transformer takes 196 channels a token: 64 of the noisy latents, 68 for inpainting (64 of the image where it is
kept, 4 of a mask that is 1 where it is painted), 64 of a control image. Against ai-toolkit's
extensions_built_in/flex2/{flex2,pipeline}.py; all else is FLUX.1's, beside this file.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from torch.nn.functional import interpolate

from darkroom.checkpoint import Checkpoint
from darkroom.errors import ImageError
from darkroom.render.device.mode import Footprint, Workload
from darkroom.render.families.autoencoder_kl import LATENT_CHANNELS, PIXELS_PER_LATENT
from darkroom.render.families.autoencoder_kl import decode as decode
from darkroom.render.families.flux1 import loop
from darkroom.render.families.flux1.build import FLEX2_CHANNELS
from darkroom.render.families.flux1.footprint import base_footprints
from darkroom.render.families.flux1.load import check_base, load_base
from darkroom.render.families.flux1.text import encode as encode
from darkroom.render.families.flux1.text import load_text_encoder as load_text_encoder
from darkroom.render.families.flux1.text import text_footprints as text_footprints
from darkroom.render.families.flux1.text import tokens_cut as tokens_cut
from darkroom.render.families.sampling import generator
from darkroom.render.weights.base import Base
from darkroom.request.parts import CONTROL, INPAINT, BaseModel, Sampling


def check(checkpoint: Checkpoint, model: BaseModel, prompt_embeds: Collection[str]) -> None:
    """Every problem that headers and configs show, before anything is loaded."""
    check_base(checkpoint, model, prompt_embeds, FLEX2_CHANNELS)


def footprints(checkpoint: Checkpoint, model: BaseModel, pictures: Collection[Workload]) -> dict[str | None, Footprint]:
    """What the base model takes in memory, by quantisation, for the largest of `pictures`."""
    return base_footprints(checkpoint, model, pictures, FLEX2_CHANNELS)


def load(checkpoint: Checkpoint, model: BaseModel, device: torch.device) -> Base:
    """Transformer and VAE; CheckpointError for files that are not a whole Flex.2."""
    return load_base(checkpoint, model, device, FLEX2_CHANNELS)


@torch.no_grad()
def encode_reference(base: Base, sampling: Sampling, image: Image.Image) -> dict[str, torch.Tensor]:
    """`mean` and `std` (1, 16, height/8, width/8) of the image at the picture's size, as the VAE sees it.

    For inpainting also `keep` (1, 1, height/8, width/8), its alpha channel: 1 where the image is kept, 0 where it is
    painted. ImageError for an image without one.
    """
    size = {"height": sampling.height, "width": sampling.width}
    pixels = VaeImageProcessor(vae_scale_factor=16).preprocess(image.convert("RGB"), **size)
    # Contiguous: other strides, other rounding.
    seen = base.vae.encode(pixels.contiguous().to(base.device, base.dtype)).latent_dist
    encoded = {"mean": seen.mean, "std": seen.std}
    return encoded | {"keep": _keep(base, sampling, image)} if sampling.ctrl_idx == INPAINT else encoded


def _keep(base: Base, sampling: Sampling, image: Image.Image) -> torch.Tensor:
    """Alpha at the latents' size: rounded to the model's dtype first, then resized without antialiasing."""
    if image.mode != "RGBA":
        raise ImageError(
            f"{sampling.ctrl_images[0].path}: has no alpha channel, which ctrl_idx: {INPAINT} (inpaint) needs: opaque "
            f"is kept, transparent is painted; save it with one, or use ctrl_idx: {CONTROL} (control)"
        )
    alpha = torch.from_numpy(np.array(image.getchannel("A")) / 255.0)[None, None].to(base.device, base.dtype)
    size = (sampling.height // PIXELS_PER_LATENT, sampling.width // PIXELS_PER_LATENT)
    return interpolate(alpha, size=size, mode="bilinear", align_corners=False)


def denoise(
    base: Base,
    sampling: Sampling,
    prompt: Mapping[str, torch.Tensor],
    neg: Mapping[str, torch.Tensor] | None,
    references: Sequence[Mapping[str, torch.Tensor]],
    on_step: Callable[[int], None],
) -> tuple[torch.Tensor, list[float]]:
    """Final latents (1, 16, height/8, width/8) before scaling and shift, and the sigmas used.

    `prompt`: prompt_embeds (1, 512, D) of T5 and pooled_prompt_embeds (1, P) of CLIP; no neg; one reference at most.
    """
    if neg is not None or len(references) > 1:
        raise ValueError("neg, references: expected no neg and at most one image: guidance is embedded")
    drawn_from = generator(sampling.seed, sampling.noise_device)
    inpaint, control = _blank(base, sampling)
    for image in references:  # before the noise is drawn: the image takes the generator's first numbers
        if sampling.ctrl_idx == INPAINT:
            inpaint = _inpaint(base, _sample(base, sampling, image, drawn_from), image["keep"])
        else:
            control = _sample(base, sampling, image, drawn_from)
    noise = loop.draw(sampling, drawn_from, base)
    return loop.denoise(base, sampling, prompt, noise, on_step, loop.pack(torch.cat([inpaint, control], 1)))


def _blank(base: Base, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor]:
    """Nothing to keep, all to be painted; no control."""
    rows, columns = sampling.height // PIXELS_PER_LATENT, sampling.width // PIXELS_PER_LATENT
    nothing = torch.zeros(1, LATENT_CHANNELS, rows, columns, dtype=base.dtype, device=base.device)
    return torch.cat([nothing, torch.ones_like(nothing[:, :1])], 1), nothing


def _sample(
    base: Base, sampling: Sampling, image: Mapping[str, torch.Tensor], drawn_from: torch.Generator
) -> torch.Tensor:
    """Latents of the image, drawn from what the VAE sees in it, as the transformer takes them."""
    drawn = image["mean"] + image["std"] * loop.draw(sampling, drawn_from, base)
    scaled: torch.Tensor = (drawn - base.vae.config.shift_factor) * base.vae.config.scaling_factor
    return scaled


def _inpaint(base: Base, latents: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    return torch.cat([latents * keep, 1 - keep], 1)
