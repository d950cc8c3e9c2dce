"""FLUX.2: load, encode, denoise, decode. Tensors in, tensors out; knows nothing of prompts' ids, files of images, jobs.

Built on diffusers' modules with the trainer's own loop: batch size 1, sequential classifier-free guidance, everything
in the model's dtype, schedule of ai-toolkit. `numerics: exact` also rounds like the trainer (exact.py).
klein has two passes and a difference for guidance, dev one pass with the guidance_scale embedded.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image

from darkroom.checkpoint import Checkpoint
from darkroom.errors import CheckpointError, ConfigError, DarkroomError, raise_together
from darkroom.files.weight_file import read_header
from darkroom.render.families.flux2 import references as reference_images
from darkroom.render.families.flux2 import transformer_layout as layout
from darkroom.render.families.flux2.build import build_transformer, build_vae, check_transformer, check_vae
from darkroom.render.families.flux2.exact import make_transformer_exact, make_vae_exact
from darkroom.render.families.flux2.footprint import footprints as footprints
from darkroom.render.families.flux2.footprint import text_footprints as text_footprints
from darkroom.render.families.flux2.text import check_text_encoder
from darkroom.render.families.flux2.text import encode as encode
from darkroom.render.families.flux2.text import load_text_encoder as load_text_encoder
from darkroom.render.families.flux2.text import tokens_cut as tokens_cut
from darkroom.render.families.sampling import aitk_sigmas, diffusers_sigmas, euler, generator, noise, timestep
from darkroom.render.weights import quantization
from darkroom.render.weights.base import DTYPES, Base
from darkroom.request import PROMPT_EMBEDS, Request

if TYPE_CHECKING:
    import numpy as np

Embeds = Mapping[str, torch.Tensor]
_SCHEDULES = {"aitk": aitk_sigmas, "diffusers": diffusers_sigmas}
_PIXELS_PER_TOKEN = 16  # per side: 8 in the VAE, 2 in the pixel shuffle after it


def check(checkpoint: Checkpoint, request: Request) -> None:
    """Every problem that headers and configs show: is each component FLUX.2's, and do they belong together?"""
    raise_together([*check_transformer(checkpoint["transformer"]), *check_vae(checkpoint["vae"])])
    of_text = check_text_encoder(checkpoint, request) if "text_encoder" in checkpoint.components else ()
    raise_together([*_guidance_faults(checkpoint, request), *_embeds_faults(checkpoint, request), *of_text])


def _guidance_faults(checkpoint: Checkpoint, request: Request) -> Iterator[DarkroomError]:
    is_embedded = layout.has_guidance_embedder(checkpoint["transformer"])
    if is_embedded is not (request.guidance == "embedded"):
        has, needs = ("a", "embedded") if is_embedded else ("no", "cfg")
        asked = f"expected guidance: {needs}, got {request.guidance}"
        yield CheckpointError(f"{checkpoint['transformer'].path}: has {has} guidance embedder: {asked}")


def _embeds_faults(checkpoint: Checkpoint, request: Request) -> Iterator[DarkroomError]:
    if request.prompt_embeds is None:
        return
    expected = layout.text_features(checkpoint["transformer"])
    features = read_header(request.prompt_embeds).shapes[PROMPT_EMBEDS][-1]
    if features != expected:
        yield ConfigError(
            f"{request.prompt_embeds}: the transformer of {checkpoint.name} expects {expected} features a token, "
            f"got {features}: these embeddings are another model's"
        )


def load(checkpoint: Checkpoint, request: Request, device: torch.device) -> Base:
    """Transformer and VAE in the request's dtype, quantisation and numerics, every weight accounted for.

    CheckpointError for files that are not a whole FLUX.2 model, or not one with this guidance.
    """
    dtype = DTYPES[request.dtype]
    transformer, transformer_weights = build_transformer(checkpoint["transformer"])
    vae, vae_weights = build_vae(checkpoint["vae"])
    raise_together(_guidance_faults(checkpoint, request))
    if request.numerics == "exact":
        make_transformer_exact(transformer)
        make_vae_exact(vae)
    if request.quantize_transformer:
        quantization.prepare(transformer, request.quantize_transformer)
    transformer_weights.fill(transformer, dtype, device, finish=quantization.finish)
    vae_weights.fill(vae, dtype, device)
    modules = layout.adapter_modules(transformer.config)
    return Base(checkpoint.name, transformer, vae, transformer_weights, modules, dtype, device)


def encode_reference(base: Base, request: Request, image: Image.Image) -> dict[str, torch.Tensor]:
    """What the model sees of one image: `latents` (1, 128, h, w) of a megapixel at most, whatever the size rendered."""
    with torch.no_grad():
        return {"latents": reference_images.encode(base.vae, image.convert("RGB"), base.device, base.dtype)}


@torch.no_grad()
def denoise(
    base: Base,
    request: Request,
    prompt: Embeds,
    neg: Embeds | None,
    references: Sequence[Mapping[str, torch.Tensor]],
    on_step: Callable[[int], None],
) -> tuple[torch.Tensor, list[float]]:
    """Final latents (1, 128, height/16, width/16) before the VAE's de-normalisation, and the sigmas used.

    `prompt` and `neg`: prompt_embeds (1, L, D); `references`: images by `encode_reference`, in order.
    """
    rows, columns = request.height // _PIXELS_PER_TOKEN, request.width // _PIXELS_PER_TOKEN
    channels = base.transformer.config.in_channels
    _check_features(base, request, prompt[PROMPT_EMBEDS].shape[-1])
    sigmas = _SCHEDULES[request.schedule](request.sample_steps, rows * columns)
    drawn_from = generator(request.seed, request.noise_device)
    latents = noise((1, channels, rows, columns), drawn_from, base.dtype).to(base.device)
    velocity = _velocity(base, request, _ids(rows, columns, base.device), [image["latents"] for image in references])
    predict = _guided(velocity, request, prompt[PROMPT_EMBEDS], neg[PROMPT_EMBEDS] if neg else None)
    tokens = euler(latents.flatten(2).transpose(1, 2).contiguous(), sigmas, predict, on_step)
    return tokens.transpose(1, 2).reshape(1, channels, rows, columns), sigmas


def _check_features(base: Base, request: Request, found: int) -> None:
    """Embeddings in the store may be those of another model's text encoder, which conf/ names by mistake."""
    expected = base.transformer.config.joint_attention_dim
    if found != expected:
        what = "these embeddings are" if request.prompt_embeds else "this text encoder is"
        raise CheckpointError(
            f"{request.prompt_embeds or request.text_encoder}: {what} for another model: the transformer of "
            f"{base.name} expects {expected} features a token (3 hidden sizes of its own encoder), got {found}"
        )


def _velocity(
    base: Base, request: Request, image_ids: torch.Tensor, seen: Sequence[torch.Tensor]
) -> Callable[[torch.Tensor, float, torch.Tensor], torch.Tensor]:
    """(image tokens, sigma, text) → velocity of the image tokens; reference tokens come after them."""
    beside = reference_images.tokens_and_positions(seen) if seen else None
    positions = torch.cat([image_ids, beside[1]]) if beside else image_ids
    embedded = torch.full((1,), request.guidance_scale, dtype=torch.float32, device=base.device)

    def velocity(tokens: torch.Tensor, sigma: float, text: torch.Tensor) -> torch.Tensor:
        whole = torch.cat([tokens, beside[0]], 1).to(base.dtype) if beside else tokens
        prediction: torch.Tensor = base.transformer(
            hidden_states=whole,
            timestep=timestep(sigma, request.timestep_rounding, base.dtype, base.device),
            guidance=embedded if request.guidance == "embedded" else None,
            encoder_hidden_states=text.to(base.device, base.dtype),
            img_ids=positions,
            txt_ids=_text_ids(text.shape[1], base.device),
            return_dict=False,
        )[0]
        return prediction[:, : tokens.shape[1]]

    return velocity


def _guided(
    velocity: Callable[[torch.Tensor, float, torch.Tensor], torch.Tensor],
    request: Request,
    prompt: torch.Tensor,
    neg: torch.Tensor | None,
) -> Callable[[torch.Tensor, float], torch.Tensor]:
    """(tokens, sigma) → velocity, with classifier-free guidance if the request uses its negative prompt."""
    if request.uses_neg is (neg is None):
        raise ValueError(f"neg: expected {'a tensor' if request.uses_neg else 'None'} by the request")

    def predict(tokens: torch.Tensor, sigma: float) -> torch.Tensor:
        conditional = velocity(tokens, sigma, prompt)
        if neg is None:
            return conditional
        unconditional = velocity(tokens, sigma, neg)
        return unconditional + request.guidance_scale * (conditional - unconditional)

    return predict


def _ids(rows: int, columns: int, device: torch.device) -> torch.Tensor:
    """Positions (0, row, column, 0) of image tokens, (rows · columns, 4)."""
    zero = torch.arange(1, device=device)
    return torch.cartesian_prod(zero, torch.arange(rows, device=device), torch.arange(columns, device=device), zero)


def _text_ids(length: int, device: torch.device) -> torch.Tensor:
    """Positions (0, 0, 0, token) of text tokens, (length, 4)."""
    zero = torch.arange(1, device=device)
    return torch.cartesian_prod(zero, zero, zero, torch.arange(length, device=device))


@torch.no_grad()
def decode(base: Base, latents: torch.Tensor) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """The picture (height, width, 3) of final latents (1, 128, height/16, width/16)."""
    statistics, eps = base.vae.bn, base.vae.config.batch_norm_eps
    mean = statistics.running_mean.view(1, -1, 1, 1).to(latents.dtype)
    deviation = torch.sqrt(statistics.running_var.view(1, -1, 1, 1) + eps).to(latents.dtype)
    image = base.vae.decode(_unshuffle(latents * deviation + mean), return_dict=False)[0]
    # In float32 before it is scaled to 0 … 1: in bfloat16 a quarter of all values would land one level off.
    pixels = VaeImageProcessor().postprocess(image.float(), output_type="np")[0]
    picture: np.ndarray[Any, np.dtype[np.uint8]] = (pixels * 255).round().astype("uint8")
    return picture


def _unshuffle(latents: torch.Tensor) -> torch.Tensor:
    """(1, 4 C, h, w) → (1, C, 2 h, 2 w): channel order (C, row of the pair, column of the pair)."""
    batch, channels, rows, columns = latents.shape
    pairs = latents.reshape(batch, channels // 4, 2, 2, rows, columns).permute(0, 1, 4, 2, 5, 3)
    return pairs.reshape(batch, channels // 4, rows * 2, columns * 2)
