"""Checking and loading a base model of FLUX.1's architecture, whichever the channels that its transformer takes.

Knows no loop and no conditioning: those are flux.py's and flex2.py's.
"""

from collections.abc import Iterator

import torch

from darkroom.checkpoint import Checkpoint
from darkroom.errors import CheckpointError, ConfigError, DarkroomError, raise_together
from darkroom.files.weight_file import read_header
from darkroom.render.families.flux1.build import build_transformer, build_vae, check_files
from darkroom.render.families.flux1.text import check_text_encoder
from darkroom.render.weights import quantization
from darkroom.render.weights.base import DTYPES, Base
from darkroom.render.weights.reading import Part, read_config
from darkroom.request import POOLED_PROMPT_EMBEDS, PROMPT_EMBEDS, Request


def check_base(checkpoint: Checkpoint, request: Request, channels: int) -> None:
    """Every problem that headers and configs show: is each component right, and do they belong together?"""
    raise_together(check_files(checkpoint["transformer"], checkpoint["vae"], channels))
    of_text = check_text_encoder(checkpoint, request) if "text_encoder" in checkpoint.components else ()
    raise_together([*_settings_faults(request), *_embeds_faults(checkpoint, request), *of_text])


def load_base(checkpoint: Checkpoint, request: Request, device: torch.device, channels: int) -> Base:
    """Transformer and VAE in the request's dtype and quantisation, every weight accounted for.

    `numerics` makes no difference: diffusers' modules are what the trainer runs, so that exact and fast are the same.
    """
    dtype = DTYPES[request.dtype]
    transformer, transformer_weights = build_transformer(checkpoint["transformer"], channels)
    vae, vae_weights = build_vae(checkpoint["vae"])
    raise_together(_settings_faults(request))
    if request.quantize_transformer:
        quantization.prepare(transformer, request.quantize_transformer)
    transformer_weights.fill(transformer, dtype, device, finish=quantization.finish)
    vae_weights.fill(vae, dtype, device)
    modules = adapter_modules(transformer)
    return Base(checkpoint.name, transformer, vae, transformer_weights, modules, dtype, device)


def adapter_modules(transformer: torch.nn.Module) -> dict[str, tuple[Part, ...]]:
    """Every linear layer by diffusers' name, which is the one that LoRA and LoKr files have."""
    layers = (name for name, layer in transformer.named_modules() if isinstance(layer, torch.nn.Linear))
    return {name: (Part(f"{name}.weight"),) for name in layers}


def _settings_faults(request: Request) -> Iterator[DarkroomError]:
    if request.guidance != "embedded":
        yield CheckpointError(
            f"{request.checkpoint}: has a guidance embedder: expected guidance: embedded, got {request.guidance}"
        )
    if request.schedule != "aitk":
        yield ConfigError(
            f"schedule: expected aitk, got {request.schedule}: the trainer's schedule for {request.family} is "
            "diffusers' own, so there is no other"
        )


def _embeds_faults(checkpoint: Checkpoint, request: Request) -> Iterator[DarkroomError]:
    if request.prompt_embeds is None:
        return
    config = read_config(checkpoint["transformer"], "FluxTransformer2DModel")
    expected = {
        PROMPT_EMBEDS: config.get("joint_attention_dim"),
        POOLED_PROMPT_EMBEDS: config.get("pooled_projection_dim"),
    }
    found = {name: shape[-1] for name, shape in read_header(request.prompt_embeds).shapes.items()}
    if found != expected:
        yield ConfigError(
            f"{request.prompt_embeds}: the transformer of {checkpoint.name} expects features {expected}, got {found}: "
            "these embeddings are another model's"
        )
