"""FLUX.2: load, encode, denoise, decode. Texts and tensors in, tensors and pixels out.

Built on diffusers' modules with the trainer's own loop: batch size 1, sequential classifier-free guidance, everything
in the model's dtype, schedule of ai-toolkit. `numerics: exact` also rounds like the trainer (exact.py), fast may have
both texts in one pass.
klein has two passes and a difference for guidance, dev one pass with the guidance_scale embedded.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache, partial

import torch
from PIL import Image

from darkroom.checkpoint import Checkpoint
from darkroom.errors import CheckpointError, DarkroomError, raise_together
from darkroom.render.device.stream import to_device
from darkroom.render.families.flux2 import references as reference_images
from darkroom.render.families.flux2 import transformer_layout as layout
from darkroom.render.families.flux2.build import build_transformer, build_vae, check_transformer, check_vae
from darkroom.render.families.flux2.exact import make_transformer_exact, make_vae_exact
from darkroom.render.families.flux2.footprint import footprints as footprints
from darkroom.render.families.flux2.footprint import text_footprints as text_footprints
from darkroom.render.families.flux2.rotary import keep_tables
from darkroom.render.families.flux2.text import check_embeds, check_text_encoder
from darkroom.render.families.flux2.text import encode as encode
from darkroom.render.families.flux2.text import load_text_encoder as load_text_encoder
from darkroom.render.families.flux2.text import tokens_cut as tokens_cut
from darkroom.render.families.pixels import levels
from darkroom.render.families.sampling import aitk_sigmas, diffusers_sigmas, euler, generator, noise, timestep
from darkroom.render.weights.base import DTYPES, Base
from darkroom.render.weights.quantization import quantizer
from darkroom.request.parts import PROMPT_EMBEDS, BaseModel, Sampling

Embeds = Mapping[str, torch.Tensor]
_Velocity = Callable[[torch.Tensor, float, torch.Tensor], torch.Tensor]
_SCHEDULES = {"aitk": aitk_sigmas, "diffusers": diffusers_sigmas}
_PIXELS_PER_TOKEN = 16  # per side: 8 in the VAE, 2 in the pixel shuffle after it


def check(checkpoint: Checkpoint, model: BaseModel, prompt_embeds: Collection[str]) -> None:
    """Every problem that headers and configs show: is each component FLUX.2's, and do they belong together?"""
    raise_together([*check_transformer(checkpoint["transformer"]), *check_vae(checkpoint["vae"])])
    of_text = check_text_encoder(checkpoint) if "text_encoder" in checkpoint.components else ()
    raise_together([*_guidance_faults(checkpoint, model), *check_embeds(checkpoint, prompt_embeds), *of_text])


def _guidance_faults(checkpoint: Checkpoint, model: BaseModel) -> Iterator[DarkroomError]:
    is_embedded = layout.has_guidance_embedder(checkpoint["transformer"])
    if is_embedded is not (model.guidance == "embedded"):
        has, needs = ("a", "embedded") if is_embedded else ("no", "cfg")
        asked = f"expected guidance: {needs}, got {model.guidance}"
        yield CheckpointError(f"{checkpoint['transformer'].path}: has {has} guidance embedder: {asked}")


def load(checkpoint: Checkpoint, model: BaseModel, device: torch.device) -> Base:
    """Transformer and VAE in this dtype, quantisation and numerics, every weight accounted for.

    CheckpointError for files that are not a whole FLUX.2 model, or not one with this guidance.
    """
    dtype = DTYPES[model.dtype]
    transformer, transformer_weights = build_transformer(checkpoint["transformer"])
    vae, vae_weights = build_vae(checkpoint["vae"])
    raise_together(_guidance_faults(checkpoint, model))
    if model.numerics == "exact":
        make_transformer_exact(transformer)
        make_vae_exact(vae)
    keep_tables(transformer)
    transformer_weights.fill(transformer, dtype, device, finish=quantizer(transformer, model.quantize_transformer))
    vae_weights.fill(vae, dtype, device)
    return Base(
        name=checkpoint.name,
        model=model,
        transformer=transformer,
        vae=vae,
        weights=transformer_weights,
        text_features={PROMPT_EMBEDS: transformer.config.joint_attention_dim},
        adapter_modules=layout.adapter_modules(transformer.config),
        dtype=dtype,
        device=device,
    )


def encode_reference(base: Base, sampling: Sampling, image: Image.Image) -> dict[str, torch.Tensor]:
    """What the model sees of one image: `latents` (1, 128, h, w) of a megapixel at most, whatever the size rendered."""
    with torch.no_grad():
        return {"latents": reference_images.encode(base.vae, image.convert("RGB"), base.device, base.dtype)}


@torch.no_grad()
def denoise(
    base: Base,
    sampling: Sampling,
    prompt: Embeds,
    neg: Embeds | None,
    references: Sequence[Mapping[str, torch.Tensor]],
    on_step: Callable[[int], None],
) -> tuple[torch.Tensor, list[float]]:
    """Final latents (1, 128, height/16, width/16) before the VAE's de-normalisation, and the sigmas used.

    `prompt` and `neg`: prompt_embeds (1, L, D); `references`: images by `encode_reference`, in order.
    """
    rows, columns = sampling.height // _PIXELS_PER_TOKEN, sampling.width // _PIXELS_PER_TOKEN
    channels = base.transformer.config.in_channels
    sigmas = _SCHEDULES[sampling.schedule](sampling.sample_steps, rows * columns)
    drawn_from = generator(sampling.seed, sampling.noise_device)
    latents = to_device(noise((1, channels, rows, columns), drawn_from, base.dtype), base.device)
    seen = [image["latents"] for image in references]
    velocity = _velocity(base, sampling, _ids(rows, columns, base.device), seen)
    both = _both_at_once if base.model.batched_guidance else _one_after_the_other
    predict = _guided(
        velocity, both, sampling.guidance_scale, prompt[PROMPT_EMBEDS], neg[PROMPT_EMBEDS] if neg else None
    )
    tokens = euler(latents.flatten(2).transpose(1, 2).contiguous(), sigmas, predict, on_step)
    return tokens.transpose(1, 2).reshape(1, channels, rows, columns), sigmas


def _velocity(base: Base, sampling: Sampling, image_ids: torch.Tensor, seen: Sequence[torch.Tensor]) -> _Velocity:
    """(image tokens, sigma, texts) → velocity of the image tokens for each text; reference tokens come after them."""
    beside = reference_images.tokens_and_positions(seen) if seen else None
    positions = torch.cat([image_ids, beside[1]]) if beside else image_ids
    embedded = torch.full((1,), sampling.guidance_scale, dtype=torch.float32, device=base.device)
    text_positions = cache(partial(_text_ids, device=base.device))

    def velocity(tokens: torch.Tensor, sigma: float, text: torch.Tensor) -> torch.Tensor:
        whole = torch.cat([tokens, beside[0]], 1).to(base.dtype) if beside else tokens
        whole = whole.expand(len(text), -1, -1)
        prediction: torch.Tensor = base.transformer(
            hidden_states=whole,
            timestep=timestep(sigma, sampling.timestep_rounding, base.dtype, base.device),
            guidance=embedded if base.transformer.config.guidance_embeds else None,
            encoder_hidden_states=text.to(base.device, base.dtype),
            img_ids=positions,
            txt_ids=text_positions(text.shape[1]),
            return_dict=False,
        )[0]
        return prediction[:, : tokens.shape[1]]

    return velocity


def _guided(
    velocity: _Velocity,
    both: Callable[[_Velocity, torch.Tensor, float, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
    guidance_scale: float,
    prompt: torch.Tensor,
    neg: torch.Tensor | None,
) -> Callable[[torch.Tensor, float], torch.Tensor]:
    """(tokens, sigma) → velocity, with classifier-free guidance where there is a negative prompt."""

    def predict(tokens: torch.Tensor, sigma: float) -> torch.Tensor:
        if neg is None:
            return velocity(tokens, sigma, prompt)
        conditional, unconditional = both(velocity, tokens, sigma, prompt, neg)
        return unconditional + guidance_scale * (conditional - unconditional)

    return predict


def _one_after_the_other(
    velocity: _Velocity, tokens: torch.Tensor, sigma: float, prompt: torch.Tensor, neg: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    return velocity(tokens, sigma, prompt), velocity(tokens, sigma, neg)


def _both_at_once(
    velocity: _Velocity, tokens: torch.Tensor, sigma: float, prompt: torch.Tensor, neg: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """One forward pass where both texts are as long: a file in place of the prompt need not be."""
    if prompt.shape != neg.shape:
        return _one_after_the_other(velocity, tokens, sigma, prompt, neg)
    conditional, unconditional = velocity(tokens, sigma, torch.cat([prompt, neg])).chunk(2)
    return conditional, unconditional


def _ids(rows: int, columns: int, device: torch.device) -> torch.Tensor:
    """Positions (0, row, column, 0) of image tokens, (rows · columns, 4)."""
    zero = torch.arange(1, device=device)
    return torch.cartesian_prod(zero, torch.arange(rows, device=device), torch.arange(columns, device=device), zero)


def _text_ids(length: int, device: torch.device) -> torch.Tensor:
    """Positions (0, 0, 0, token) of text tokens, (length, 4)."""
    zero = torch.arange(1, device=device)
    return torch.cartesian_prod(zero, zero, zero, torch.arange(length, device=device))


@torch.no_grad()
def decode(base: Base, latents: torch.Tensor) -> torch.Tensor:
    """The picture (height, width, 3), uint8 on the device, of final latents (1, 128, height/16, width/16)."""
    statistics, eps = base.vae.bn, base.vae.config.batch_norm_eps
    mean = statistics.running_mean.view(1, -1, 1, 1).to(latents.dtype)
    deviation = torch.sqrt(statistics.running_var.view(1, -1, 1, 1) + eps).to(latents.dtype)
    image = base.vae.decode(_unshuffle(latents * deviation + mean), return_dict=False)[0]
    # In float32 before it is scaled to 0 … 1: in bfloat16 a quarter of all values would land one level off.
    return levels(image.float())


def _unshuffle(latents: torch.Tensor) -> torch.Tensor:
    """(1, 4 C, h, w) → (1, C, 2 h, 2 w): channel order (C, row of the pair, column of the pair)."""
    batch, channels, rows, columns = latents.shape
    pairs = latents.reshape(batch, channels // 4, 2, 2, rows, columns).permute(0, 1, 4, 2, 5, 3)
    return pairs.reshape(batch, channels // 4, rows * 2, columns * 2)
