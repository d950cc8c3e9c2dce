"""FLUX.2's files checked before anything is loaded: which model they are, and that each tensor has its place.

Reads headers and configs only. A file that is something else is named, with the one that is needed instead.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel

from darkroom.base_files.kinds import FLUX2_FILES, refuse_others
from darkroom.checkpoint import DIFFUSERS, GGUF, Component
from darkroom.errors import CheckpointError, DarkroomError, caught
from darkroom.render.families.flux2 import transformer_layout as flux2_layout
from darkroom.render.families.vae_names import decoder_channels, sizes_of, vae_weights
from darkroom.render.weights.gguf_file import gguf_architecture
from darkroom.render.weights.reading import BaseWeights, built, read_config
from darkroom.render.weights.stored import Stored, stored_tensors

# What the trainer's code has for every FLUX.2, whatever config.json says; no weight shows it.
_CONSTANTS = {"rope_theta": 2000, "eps": 1e-6, "batch_norm_eps": 1e-4}


def build_transformer(component: Component) -> tuple[Any, BaseWeights]:
    """A Flux2Transformer2DModel on the meta device and where its weights are, each accounted for; CheckpointError."""
    stored = stored_tensors(component)
    _refuse_others(component, stored, "transformer")
    weights = flux2_layout.transformer_weights(component, stored)
    if component.layout == DIFFUSERS:
        config = _unedited(component, read_config(component, "Flux2Transformer2DModel"))
    else:
        config = flux2_layout.transformer_config(weights.shapes, component.path)
    return built(Flux2Transformer2DModel, config, weights), weights


def build_vae(component: Component) -> tuple[Any, BaseWeights]:
    """An AutoencoderKLFlux2 on the meta device and where its weights are, each accounted for; CheckpointError."""
    stored = stored_tensors(component)
    _refuse_others(component, stored, "vae")
    weights = vae_weights(component, stored)
    if component.layout == DIFFUSERS:
        config = _unedited(component, read_config(component, "AutoencoderKLFlux2"))
    else:
        config = sizes_of(weights.shapes, component.path)
        decoder = decoder_channels(weights.shapes, component.path)
        config["decoder_block_out_channels"] = None if decoder == config["block_out_channels"] else decoder
    return built(AutoencoderKLFlux2, config, weights), weights


def _unedited(component: Component, config: dict[str, Any]) -> dict[str, Any]:
    edited = [name for name, expected in _CONSTANTS.items() if config.get(name, expected) != expected]
    if edited:
        said = ", ".join(f"{name}: expected {_CONSTANTS[name]}, got {config[name]}" for name in edited)
        raise CheckpointError(
            f"{component.path}/config.json: {said}: every FLUX.2 has the former, and so have the trainer's previews; "
            "put it right, or fetch the file again"
        )
    return config


def check_transformer(component: Component) -> list[DarkroomError]:
    """What is wrong with the files of a transformer, as far as headers and configs show."""
    return caught(lambda: build_transformer(component))


def check_vae(component: Component) -> list[DarkroomError]:
    """What is wrong with the files of a VAE, as far as headers and configs show."""
    return caught(lambda: build_vae(component))


def _refuse_others(component: Component, stored: Mapping[str, Stored], part: str) -> None:
    shapes = {key: tensor.shape for key, tensor in stored.items()}
    architecture = gguf_architecture(Path(component.path)) or "" if component.layout == GGUF else ""
    is_folder = component.layout == DIFFUSERS
    refuse_others(component.path, shapes, FLUX2_FILES[part], is_folder=is_folder, architecture=architecture)
