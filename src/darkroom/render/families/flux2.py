"""FLUX.2: load, encode, denoise, decode. Tensors in, tensors out; knows nothing of prompts' ids, files of images, jobs.

Built on diffusers' modules with the trainer's own loop: batch size 1, sequential classifier-free guidance, everything
in the model's dtype, schedule of ai-toolkit. `numerics: exact` also rounds like the trainer (flux2_exact.py).
Here belong, and are refused until they are built: guidance-embedded models (dev) in `_predictor`, reference images in
`denoise` (tokens after the image's), quantised bases in `load` and `load_text_encoder`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel
from diffusers.image_processor import VaeImageProcessor

from darkroom.checkpoint import SINGLE_FILE, Checkpoint, Component, weight_files
from darkroom.errors import CheckpointError, ConfigError, DarkroomError, raise_together
from darkroom.render.base_model import Base, TextEncoder
from darkroom.render.base_weights import BaseWeights, Layout, by_own_name, read_config, stored_tensors
from darkroom.render.families import flux2_layout as layout
from darkroom.render.families.flux2_exact import make_transformer_exact, make_vae_exact
from darkroom.render.sampling import aitk_sigmas, diffusers_sigmas, euler, noise
from darkroom.request import Request
from darkroom.weight_file import read_header

if TYPE_CHECKING:
    import numpy as np

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
_SCHEDULES = {"aitk": aitk_sigmas, "diffusers": diffusers_sigmas}
_PIXELS_PER_TOKEN = 16  # per side: 8 in the VAE, 2 in the pixel shuffle after it
_QWEN3_LAYERS = (9, 18, 27)  # hidden states that klein reads, side by side


def load(checkpoint: Checkpoint, request: Request, device: torch.device) -> Base:
    """Transformer and VAE in the request's dtype and numerics, every weight accounted for.

    CheckpointError for files that are not a whole FLUX.2 model, ConfigError for what is not built yet.
    """
    _refuse_unbuilt(request)
    dtype = _DTYPES[request.dtype]
    transformer, transformer_weights, config = _build_transformer(checkpoint.transformer)
    vae, vae_weights = _build_vae(checkpoint.vae)
    if config["guidance_embeds"]:
        raise CheckpointError(
            f"{checkpoint.transformer.path}: has a guidance embedder, so guidance: {request.guidance} is not for it; "
            "guidance-embedded models (FLUX.2-dev) cannot be rendered yet"
        )
    if request.numerics == "exact":
        make_transformer_exact(transformer)
        make_vae_exact(vae)
    transformer_weights.fill(transformer, dtype, device)
    vae_weights.fill(vae, dtype, device)
    modules = layout.adapter_modules(config)
    return Base(checkpoint.name, transformer, vae, transformer_weights, modules, dtype, device)


def _build_transformer(component: Component) -> tuple[Any, BaseWeights, dict[str, Any]]:
    stored = stored_tensors(component)
    names: Layout
    if component.layout == SINGLE_FILE:
        shapes = {key: tensor.shape for key, tensor in stored.items()}
        config, names = layout.transformer_config(shapes, component.path), layout.transformer_layout
    else:
        config, names = read_config(component, "Flux2Transformer2DModel"), by_own_name
    with torch.device("meta"):
        transformer = Flux2Transformer2DModel.from_config(config)
    return transformer, BaseWeights(component, stored.values(), names), dict(transformer.config)


def _build_vae(component: Component) -> tuple[Any, BaseWeights]:
    stored = stored_tensors(component)
    names: Layout
    if component.layout == SINGLE_FILE:
        shapes = {key: tensor.shape for key, tensor in stored.items()}
        config = layout.vae_config(shapes, component.path)
        names = layout.vae_layout(len(config["block_out_channels"]))
    else:
        config, names = read_config(component, "AutoencoderKLFlux2"), by_own_name
    with torch.device("meta"):
        vae = AutoencoderKLFlux2.from_config(config)
    return vae, BaseWeights(component, stored.values(), names)


def _refuse_unbuilt(request: Request) -> None:
    choices = {
        "dtype": (request.dtype, tuple(_DTYPES)),
        "numerics": (request.numerics, ("exact", "fast")),
        "schedule": (request.schedule, tuple(_SCHEDULES)),
        "guidance": (request.guidance, ("cfg",)),
        "quantize.transformer": (request.quantize_transformer, (None,)),
        "quantize.text_encoder": (request.quantize_text_encoder, (None,)),
    }
    errors: list[DarkroomError] = [
        ConfigError(f"{key}: expected {' or '.join(map(str, known))} for family flux2, got {value}")
        for key, (value, known) in choices.items()
        if value not in known
    ]
    if request.ctrl_images:
        errors.append(ConfigError("ctrl_img: family flux2 does not take reference images yet; leave it out"))
    raise_together(errors)


def load_text_encoder(checkpoint: Checkpoint, request: Request, device: torch.device) -> TextEncoder:
    """Qwen3 and its tokenizer from their transformers folders; CheckpointError if one is not whole."""
    from transformers import AutoTokenizer, Qwen3Model
    from transformers.utils.logging import disable_progress_bar

    _refuse_unbuilt(request)
    dtype = _DTYPES[request.dtype]
    path = checkpoint.text_encoder.path
    for file in weight_files(Path(path)):
        read_header(file)
    disable_progress_bar()
    try:
        model, account = Qwen3Model.from_pretrained(path, dtype=dtype, output_loading_info=True, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path}: cannot be loaded as a Qwen3 text encoder: {error}") from error
    _check_qwen3(path, model, account)
    try:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.tokenizer.path, local_files_only=True)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{checkpoint.tokenizer.path}: cannot be loaded as a tokenizer: {error}") from error
    if tokenizer.chat_template is None:
        raise CheckpointError(f"{checkpoint.tokenizer.path}: the tokenizer has no chat template; use klein's own")
    if request.text_encoder_cast:
        model.to(dtype=dtype)  # rounds the rotary frequencies too, which from_pretrained keeps in float32
    model.to(device).requires_grad_(False).eval()
    return TextEncoder(model, tokenizer, request.max_sequence_length, dtype, device)


def _check_qwen3(path: str, model: Any, account: dict[str, Any]) -> None:
    # The output layer belongs to text generation; everything else has to find its place.
    unused = [key for key in account["unexpected_keys"] if key != "lm_head.weight"]
    wrong = [*sorted(account["missing_keys"]), *sorted(unused), *map(str, sorted(account["mismatched_keys"]))]
    if wrong:
        named = ", ".join(wrong[:4])
        raise CheckpointError(f"{path}: {len(wrong)} weights are missing, unknown or of another shape: {named}")
    if model.config.num_hidden_layers <= max(_QWEN3_LAYERS):
        raise CheckpointError(
            f"{path}: config.json: num_hidden_layers: expected more than {max(_QWEN3_LAYERS)}, "
            f"got {model.config.num_hidden_layers}: klein reads the hidden states {_QWEN3_LAYERS}"
        )


@torch.no_grad()
def encode(text_encoder: TextEncoder, text: str) -> torch.Tensor:
    """The embedding of one prompt, (1, max_sequence_length, 3 hidden sizes), in the encoder's dtype.

    The attention mask goes to the text encoder only: the transformer attends to padding as well.
    """
    tokenizer, device = text_encoder.tokenizer, text_encoder.device
    length = text_encoder.max_sequence_length
    chat = _chat(text_encoder, text)
    tokens = tokenizer(chat, return_tensors="pt", padding="max_length", truncation=True, max_length=length)
    output = text_encoder.model(
        input_ids=tokens["input_ids"].to(device),
        attention_mask=tokens["attention_mask"].to(device),
        output_hidden_states=True,
        use_cache=False,
    )
    return torch.cat([output.hidden_states[layer] for layer in _QWEN3_LAYERS], dim=-1).to(text_encoder.dtype)


def tokens_cut(text_encoder: TextEncoder, text: str) -> int:
    """How many tokens of the chat around a prompt are beyond max_sequence_length, and so without effect."""
    length = len(text_encoder.tokenizer(_chat(text_encoder, text), verbose=False)["input_ids"])
    return max(0, length - text_encoder.max_sequence_length)


def _chat(text_encoder: TextEncoder, text: str) -> str:
    """The prompt as Qwen3 wants it: one turn of the user, no thinking."""
    turns = [{"role": "user", "content": text}]
    chat: str = text_encoder.tokenizer.apply_chat_template(
        turns, tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    return chat


@torch.no_grad()
def denoise(
    base: Base,
    request: Request,
    prompt_embeds: torch.Tensor,
    neg_embeds: torch.Tensor | None,
    on_step: Callable[[int], None],
) -> tuple[torch.Tensor, list[float]]:
    """Final latents (1, 128, height/16, width/16) before the VAE's de-normalisation, and the sigmas used.

    Embeddings (1, L, D); `neg_embeds` exactly when `request.uses_neg`.
    """
    _refuse_unbuilt(request)
    rows, columns = request.height // _PIXELS_PER_TOKEN, request.width // _PIXELS_PER_TOKEN
    channels = base.transformer.config.in_channels
    sigmas = _SCHEDULES[request.schedule](request.sample_steps, rows * columns)
    latents = noise((1, channels, rows, columns), request.seed, base.dtype).to(base.device)
    predict = _predictor(base, request, _ids(rows, columns, base.device), prompt_embeds, neg_embeds)
    tokens = euler(latents.flatten(2).transpose(1, 2), sigmas, predict, on_step)
    return tokens.transpose(1, 2).reshape(1, channels, rows, columns), sigmas


def _predictor(
    base: Base, request: Request, image_ids: torch.Tensor, prompt: torch.Tensor, neg: torch.Tensor | None
) -> Callable[[torch.Tensor, float], torch.Tensor]:
    """(tokens, sigma) → velocity, with classifier-free guidance if the request uses its negative prompt."""
    if request.uses_neg is (neg is None):
        raise ValueError(f"neg_embeds: expected {'a tensor' if request.uses_neg else 'None'} by the request")
    features = base.transformer.config.joint_attention_dim
    if prompt.shape[-1] != features:
        raise CheckpointError(
            f"{request.text_encoder}: this text encoder is for another model: the transformer of {base.name} expects "
            f"{features} features a token (3 hidden sizes of its own encoder), got {prompt.shape[-1]}"
        )

    def velocity(tokens: torch.Tensor, sigma: float, text: torch.Tensor) -> torch.Tensor:
        prediction: torch.Tensor = base.transformer(
            hidden_states=tokens,
            # The sigma itself, rounded once: diffusers' pipelines round 1000 sigma and divide again.
            timestep=torch.full((1,), sigma, dtype=base.dtype, device=base.device),
            encoder_hidden_states=text.to(base.device, base.dtype),
            img_ids=image_ids,
            txt_ids=_text_ids(text.shape[1], base.device),
            return_dict=False,
        )[0]
        return prediction

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
