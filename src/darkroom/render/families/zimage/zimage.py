"""Z-Image, its Turbo and De-Turbo: load, encode, denoise, decode. Texts and tensors in, tensors and pixels out.

Diffusers' modules with the trainer's own constants: a static shift, and both texts of classifier-free guidance in one
forward pass. Noise and latents are float32 whatever the model's dtype. Against ai-toolkit's
extensions_built_in/diffusion_models/z_image/z_image.py and diffusers' pipelines/z_image.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from PIL import Image

from darkroom.checkpoint import Checkpoint
from darkroom.errors import ConfigError, raise_together
from darkroom.render.device.stream import to_device
from darkroom.render.families import autoencoder_kl
from darkroom.render.families.sampling import generator, noise
from darkroom.render.families.zimage.build import build_transformer, build_vae, check_files
from darkroom.render.families.zimage.footprint import footprints as footprints
from darkroom.render.families.zimage.footprint import text_footprints as text_footprints
from darkroom.render.families.zimage.layout import EMBEDDERS
from darkroom.render.families.zimage.text import check_embeds, check_text_encoder
from darkroom.render.families.zimage.text import encode as encode
from darkroom.render.families.zimage.text import load_text_encoder as load_text_encoder
from darkroom.render.families.zimage.text import tokens_cut as tokens_cut
from darkroom.render.families.zimage.training import check_training_adapter, training_adapter_of
from darkroom.render.weights.base import DTYPES, Base, linear_layers
from darkroom.render.weights.quantization import quantizer
from darkroom.request.parts import PROMPT_EMBEDS, BaseModel, Sampling

_Embeds = Mapping[str, torch.Tensor]

_TRAINING_STEPS = 1000
_SHIFT = 3.0  # the trainer's, whatever the scheduler's file in a repository says (Z-Image's has 6.0)


def check(checkpoint: Checkpoint, model: BaseModel, prompt_embeds: Collection[str]) -> None:
    """Every problem that headers and configs show: is each component Z-Image's, and do they belong together?"""
    raise_together(check_files(checkpoint["transformer"], checkpoint["vae"]))
    of_text = check_text_encoder(checkpoint) if "text_encoder" in checkpoint.components else ()
    raise_together([*check_training_adapter(checkpoint), *check_embeds(checkpoint, prompt_embeds), *of_text])


def load(checkpoint: Checkpoint, model: BaseModel, device: torch.device) -> Base:
    """Transformer and VAE in this dtype and quantisation, with the training adapter if there is one.

    CheckpointError for files that are not a whole Z-Image. `numerics` makes no difference: diffusers' modules are what
    the trainer runs.
    """
    dtype = DTYPES[model.dtype]
    transformer, weights = build_transformer(checkpoint["transformer"])
    vae, vae_weights = build_vae(checkpoint["vae"])
    layers = linear_layers(transformer)
    adapter = training_adapter_of(checkpoint, transformer, dtype, device)
    if adapter:
        weights = weights.changed(adapter.changes)
    kept = () if model.quantize_embedders else EMBEDDERS
    weights.fill(transformer, dtype, device, finish=quantizer(transformer, model.quantize_transformer, kept))
    vae_weights.fill(vae, dtype, device)
    if adapter:
        adapter.cancel(transformer)
    return Base(
        name=checkpoint.name,
        model=model,
        transformer=transformer,
        vae=vae,
        weights=weights,
        text_features={PROMPT_EMBEDS: transformer.config.cap_feat_dim},
        adapter_modules=layers,
        dtype=dtype,
        device=device,
    )


def encode_reference(base: Base, sampling: Sampling, image: Image.Image) -> dict[str, torch.Tensor]:
    """ConfigError: there is nothing in these models that an image could condition."""
    raise ConfigError(f"{base.name}: Z-Image takes no reference images; Flex.2 and FLUX.2 do")


@torch.no_grad()
def denoise(
    base: Base,
    sampling: Sampling,
    prompt: _Embeds,
    neg: _Embeds | None,
    references: Sequence[_Embeds],
    on_step: Callable[[int], None],
) -> tuple[torch.Tensor, list[float]]:
    """Final latents (1, 16, height/8, width/8) in float32, before scaling and shift, and the sigmas used.

    `prompt` and `neg`: prompt_embeds (1, tokens, features), each of its own length; no references.
    """
    if references:
        raise ValueError("references: expected none: text alone conditions")
    drawn_from = generator(sampling.seed, sampling.noise_device)
    latents = to_device(noise(autoencoder_kl.latent_shape(sampling), drawn_from, torch.float32), base.device)
    scheduler = _SCHEDULERS[sampling.schedule](sampling.sample_steps)
    velocity = _velocity(base, sampling, prompt, neg)
    for step, time in enumerate(to_device(scheduler.timesteps, base.device)):
        latents = scheduler.step(velocity(latents, time), time, latents, return_dict=False)[0]
        on_step(step)
    return latents, scheduler.sigmas.tolist()


def _velocity(
    base: Base, sampling: Sampling, prompt: _Embeds, neg: _Embeds | None
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """(latents, time from 1000 to 0) → velocity (1, 16, height/8, width/8) in float32.

    The model is told how far the picture is, 0 to 1, and gives the velocity towards it: the other way round.
    """
    texts = [each[PROMPT_EMBEDS][0].to(base.device, base.dtype) for each in (prompt, neg) if each is not None]
    scale = _DIFFERENCES[sampling.guidance_rule](sampling.guidance_scale)

    def velocity(latents: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        seen = latents.to(base.dtype).unsqueeze(2)[0]  # (16, 1, height/8, width/8)
        progress = ((_TRAINING_STEPS - time.expand(1)) / _TRAINING_STEPS).repeat(len(texts))
        predicted = base.transformer([seen] * len(texts), progress, texts, return_dict=False)[0]
        conditional, *unconditional = (each.float() for each in predicted)
        for each in unconditional:
            conditional = conditional + scale * (conditional - each)
        towards_noise: torch.Tensor = -conditional[None].squeeze(2)
        return towards_noise

    return velocity


# How many times the difference of both texts is added, by Sampling.guidance_rule (ai-toolkit since 0.10.21; before).
_DIFFERENCES: Mapping[str, Callable[[float], float]] = {
    "aitk": lambda scale: scale - 1.0,
    "raw": lambda scale: scale,
    "raw_above_1": lambda scale: scale,
}


def _scheduler(steps: int) -> FlowMatchEulerDiscreteScheduler:
    """Times from 1 to 1 / steps, shifted, then 0."""
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=_TRAINING_STEPS, shift=_SHIFT)
    scheduler.set_timesteps(sigmas=torch.linspace(1.0, 1 / steps, steps).tolist())
    scheduler.set_begin_index(0)
    return scheduler


def _scheduler_to_zero(steps: int) -> FlowMatchEulerDiscreteScheduler:
    """Times from 1 to 0, shifted, then 0 again: the last step stands still, as diffusers had it until May 2026."""
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=_TRAINING_STEPS, shift=_SHIFT)
    scheduler.sigma_min = 0.0
    scheduler.set_timesteps(steps)
    scheduler.set_begin_index(0)
    return scheduler


_SCHEDULERS = {"aitk": _scheduler, "aitk_to_zero": _scheduler_to_zero}


def decode(base: Base, latents: torch.Tensor) -> torch.Tensor:
    """The picture (height, width, 3), uint8 on the device, of final latents (1, 16, height/8, width/8).

    They are rounded to the model's dtype first.
    """
    return autoencoder_kl.decode(base, latents.to(base.dtype))
