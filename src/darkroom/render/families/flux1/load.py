"""Checking and loading a base model of FLUX.1's architecture, whichever the channels that its transformer takes.

Knows no loop and no conditioning: those are flux.py's and flex2.py's.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch

from darkroom.checkpoint import Checkpoint
from darkroom.errors import CheckpointError, ConfigError, DarkroomError, raise_together
from darkroom.files.weight_file import read_header
from darkroom.render.families.flux1.build import build_transformer, build_vae, check_files
from darkroom.render.families.flux1.text import check_text_encoder
from darkroom.render.weights.base import DTYPES, Base, linear_layers
from darkroom.render.weights.quantization import quantizer
from darkroom.render.weights.reading import read_config
from darkroom.request.parts import POOLED_PROMPT_EMBEDS, PROMPT_EMBEDS, BaseModel


def check_base(checkpoint: Checkpoint, model: BaseModel, prompt_embeds: Collection[str], channels: int) -> None:
    """Every problem that headers and configs show: is each component right, and do they belong together?"""
    raise_together(check_files(checkpoint["transformer"], checkpoint["vae"], channels))
    of_text = check_text_encoder(checkpoint) if "text_encoder" in checkpoint.components else ()
    raise_together([*_guidance_faults(checkpoint, model), *_embeds_faults(checkpoint, prompt_embeds), *of_text])


def load_base(checkpoint: Checkpoint, model: BaseModel, device: torch.device, channels: int) -> Base:
    """Transformer and VAE in this dtype and quantisation, every weight accounted for.

    `numerics` makes no difference: diffusers' modules are what the trainer runs, so that exact and fast are the same.
    """
    dtype = DTYPES[model.dtype]
    transformer, transformer_weights = build_transformer(checkpoint["transformer"], channels)
    vae, vae_weights = build_vae(checkpoint["vae"])
    raise_together(_guidance_faults(checkpoint, model))
    transformer_weights.fill(transformer, dtype, device, finish=quantizer(transformer, model.quantize_transformer))
    vae_weights.fill(vae, dtype, device)
    return Base(
        name=checkpoint.name,
        model=model,
        transformer=transformer,
        vae=vae,
        weights=transformer_weights,
        text_features=_text_features(transformer.config),
        adapter_modules=linear_layers(transformer),
        dtype=dtype,
        device=device,
    )


def _guidance_faults(checkpoint: Checkpoint, model: BaseModel) -> Iterator[DarkroomError]:
    if model.guidance != "embedded":
        yield CheckpointError(
            f"{checkpoint.name}: has a guidance embedder: expected guidance: embedded, got {model.guidance}"
        )


def _embeds_faults(checkpoint: Checkpoint, prompt_embeds: Collection[str]) -> Iterator[DarkroomError]:
    expected = _text_features(read_config(checkpoint["transformer"], "FluxTransformer2DModel"))
    for path in prompt_embeds:
        found = {name: shape[-1] for name, shape in read_header(path).shapes.items()}
        if found != expected:
            yield ConfigError(
                f"{path}: the transformer of {checkpoint.name} expects features {expected}, got {found}: these "
                "embeddings are another model's"
            )


def _text_features(config: Mapping[str, Any]) -> dict[str, Any]:
    """By tensor of an embedding."""
    return {
        PROMPT_EMBEDS: config.get("joint_attention_dim"),
        POOLED_PROMPT_EMBEDS: config.get("pooled_projection_dim"),
    }
