"""FLUX.1 and Flex.1: load, encode, denoise, decode. Tensors in, tensors out; knows no ids, files of images, jobs.

Text and a guidance scale are all that conditions them. Their parts are Flex.2's, beside this file, but for its input.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from PIL import Image

from darkroom.checkpoint import Checkpoint
from darkroom.errors import ConfigError
from darkroom.render.device.mode import Footprint, Workload
from darkroom.render.families.autoencoder_kl import decode as decode
from darkroom.render.families.flux1 import loop
from darkroom.render.families.flux1.build import FLUX1_CHANNELS
from darkroom.render.families.flux1.footprint import base_footprints
from darkroom.render.families.flux1.load import check_base, load_base
from darkroom.render.families.flux1.text import encode as encode
from darkroom.render.families.flux1.text import load_text_encoder as load_text_encoder
from darkroom.render.families.flux1.text import text_footprints as text_footprints
from darkroom.render.families.flux1.text import tokens_cut as tokens_cut
from darkroom.render.families.sampling import generator
from darkroom.render.weights.base import Base
from darkroom.request.parts import BaseModel, Sampling


def check(checkpoint: Checkpoint, model: BaseModel, prompt_embeds: Collection[str]) -> None:
    """Every problem that headers and configs show, before anything is loaded."""
    check_base(checkpoint, model, prompt_embeds, FLUX1_CHANNELS)


def footprints(checkpoint: Checkpoint, model: BaseModel, pictures: Collection[Workload]) -> dict[str | None, Footprint]:
    """What the base model takes in memory, by quantisation, for the largest of `pictures`."""
    return base_footprints(checkpoint, model, pictures, FLUX1_CHANNELS)


def load(checkpoint: Checkpoint, model: BaseModel, device: torch.device) -> Base:
    """Transformer and VAE; CheckpointError for files that are not a whole FLUX.1-dev or Flex.1."""
    return load_base(checkpoint, model, device, FLUX1_CHANNELS)


def encode_reference(base: Base, sampling: Sampling, image: Image.Image) -> dict[str, torch.Tensor]:
    """ConfigError: there is nothing in these models that an image could condition."""
    raise ConfigError(f"{base.name}: FLUX.1 and Flex.1 take no reference images; Flex.2 and FLUX.2 do")


def denoise(
    base: Base,
    sampling: Sampling,
    prompt: Mapping[str, torch.Tensor],
    neg: Mapping[str, torch.Tensor] | None,
    references: Sequence[Mapping[str, torch.Tensor]],
    on_step: Callable[[int], None],
) -> tuple[torch.Tensor, list[float]]:
    """Final latents (1, 16, height/8, width/8) before scaling and shift, and the sigmas used.

    `prompt`: prompt_embeds (1, 512, D) of T5 and pooled_prompt_embeds (1, P) of CLIP; no neg and no references.
    """
    if neg is not None or references:
        raise ValueError("neg, references: expected none: guidance is embedded, and text alone conditions")
    noise = loop.draw(sampling, generator(sampling.seed, sampling.noise_device), base)
    return loop.denoise(base, sampling, prompt, noise, on_step)
