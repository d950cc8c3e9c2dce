"""FLUX.2's files checked before anything is loaded: which model they are, and that each tensor has its place.

Reads headers and configs only. A file that is something else is named, with the one that is needed instead.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel

from darkroom.checkpoint import DIFFUSERS, GGUF, Component
from darkroom.errors import CheckpointError
from darkroom.render.base_weights import BaseWeights, read_config, shapes_of
from darkroom.render.families import flux2_layout, flux2_vae_layout
from darkroom.render.stored import Stored, stored_tensors
from darkroom.render.stored_gguf import gguf_architecture

MODELS = {3072: "klein-4B", 4096: "klein-9B", 6144: "dev"}  # by hidden size; base and distilled have the same tensors

_TRANSFORMER, _VAE = "FLUX.2's transformer", "FLUX.2's VAE"
_RIGHT = {
    _TRANSFORMER: "flux-2-klein-base-4b.safetensors, flux-2-klein-base-9b.safetensors or flux2-dev.safetensors",
    _VAE: "ai-toolkit/flux2_vae ae.safetensors or flux2-vae.safetensors",
}
_ENCODERS = {2560: "Qwen3-4B", 4096: "Qwen3-8B", 5120: "Mistral-Small-3.1"}  # by hidden size
_INSIDE = re.compile(r"(model\.)?diffusion_model\..+")
_BESIDE = re.compile(r"(first_stage_model|vae|cond_stage_model|conditioner|text_encoders)\..+")
_SIGNS = (  # what a file is, and a key that none but it has; the first that is found counts
    ("a LoRA or LoKr, which belongs into conf/lora", r".+\.(lora_(A|B|up|down)|lokr_w\d(_\w)?)(\..+)?"),
    (_TRANSFORMER, r"(.+\.)?double_stream_modulation_img\.(lin|linear)\.weight"),
    ("a transformer of FLUX.1 or Flex", r"(.+\.)?double_blocks\.0\.img_mod\.lin\.weight"),
    ("a transformer of FLUX.1 or Flex", r"(.+\.)?single_transformer_blocks\.0\.norm\.linear\.weight"),
    ("T5, a text encoder of FLUX.1", r"(.+\.)?encoder\.block\.0\.layer\.0\.SelfAttention\.q\.weight"),
    ("T5, a text encoder of FLUX.1", r"enc\.blk\.0\.attn_q\.weight"),
    ("CLIP, a text encoder of FLUX.1", r"(.+\.)?text_model\.encoder\.layers\.0\..+"),
)
_DECODER = re.compile(r"(.+\.)?decoder\.conv_in\.weight")
_STATISTICS = re.compile(r"(.+\.)?bn\.running_mean")
_LANGUAGE_MODEL = re.compile(r"(.+\.)?(layers\.0\.self_attn\.q_proj|blk\.0\.attn_q)\.weight")


def build_transformer(component: Component) -> tuple[Any, BaseWeights]:
    """A Flux2Transformer2DModel on the meta device and where its weights are, each accounted for; CheckpointError."""
    stored = stored_tensors(component)
    _refuse_others(component, stored, _TRANSFORMER)
    weights = flux2_layout.transformer_weights(component, stored)
    if component.layout == DIFFUSERS:
        config = read_config(component, "Flux2Transformer2DModel")
    else:
        config = flux2_layout.transformer_config(weights.shapes, component.path)
    return _built(Flux2Transformer2DModel, config, weights), weights


def build_vae(component: Component) -> tuple[Any, BaseWeights]:
    """An AutoencoderKLFlux2 on the meta device and where its weights are, each accounted for; CheckpointError."""
    stored = stored_tensors(component)
    _refuse_others(component, stored, _VAE)
    weights = flux2_vae_layout.vae_weights(component, stored)
    if component.layout == DIFFUSERS:
        config = read_config(component, "AutoencoderKLFlux2")
    else:
        config = flux2_vae_layout.vae_config(weights.shapes, component.path)
    return _built(AutoencoderKLFlux2, config, weights), weights


def transformer_sizes(component: Component) -> dict[str, Any]:
    """Arguments of Flux2Transformer2DModel with hidden_size, and model: "klein-4B", "klein-9B", "dev" or None."""
    transformer, _ = build_transformer(component)
    config = dict(transformer.config)
    return {**config, "hidden_size": transformer.inner_dim, "model": MODELS.get(transformer.inner_dim)}


def check_transformer(component: Component) -> list[CheckpointError]:
    """What is wrong with the files of a transformer, as far as headers and configs show."""
    return _problems(build_transformer, component)


def check_vae(component: Component) -> list[CheckpointError]:
    """What is wrong with the files of a VAE, as far as headers and configs show."""
    return _problems(build_vae, component)


def _problems(build: Callable[[Component], Any], component: Component) -> list[CheckpointError]:
    try:
        build(component)
    except CheckpointError as error:
        return [error]
    return []


def _built(cls: Any, config: dict[str, Any], weights: BaseWeights) -> Any:
    with torch.device("meta"):
        module = cls.from_config(config)
    weights.account(shapes_of(module))
    return module


def _refuse_others(component: Component, stored: Mapping[str, Stored], wanted: str) -> None:
    kind = _kind({key: tensor.shape for key, tensor in stored.items()})
    if component.layout == GGUF and kind is None:
        kind = f"a GGUF file of architecture {gguf_architecture(Path(component.path))}"
    if kind not in (None, wanted):
        raise CheckpointError(f"{component.path}: is {kind}; {wanted} is needed: {_RIGHT[wanted]}")


def _kind(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """What a file is by its keys, None for what is not known."""
    if any(map(_BESIDE.fullmatch, shapes)) and any(map(_INSIDE.fullmatch, shapes)):
        return "a checkpoint with transformer, VAE or text encoder in one file"
    for kind, sign in _SIGNS:
        if any(map(re.compile(sign).fullmatch, shapes)):
            return kind
    for key, shape in shapes.items():
        if _LANGUAGE_MODEL.fullmatch(key) and len(shape) == 2:
            name = _ENCODERS.get(shape[1])
            return f"a text encoder ({f'{name}, ' if name else ''}hidden size {shape[1]})"
        if _DECODER.fullmatch(key) and len(shape) > 1:
            return _kind_of_vae(shape[1], any(map(_STATISTICS.fullmatch, shapes)))
    return None


def _kind_of_vae(channels: int, has_statistics: bool) -> str:
    if has_statistics:
        return _VAE
    name = {4: "the VAE of Stable Diffusion", 16: "FLUX.1's VAE"}.get(channels, "another model's VAE")
    return f"{name} ({channels} latent channels, no bn statistics)"
