"""Z-Image's files checked before anything is loaded: which model they are, and that each tensor has its place.

Reads headers and configs only. A file that is something else is named, with the one that is needed instead.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, ZImageTransformer2DModel

from darkroom.base_files.kinds import Z_IMAGE_FILES, refuse_others
from darkroom.checkpoint import DIFFUSERS, GGUF, Component
from darkroom.errors import DarkroomError, caught
from darkroom.render.families.autoencoder_kl import vae_config
from darkroom.render.families.vae_names import vae_weights
from darkroom.render.families.zimage import layout
from darkroom.render.weights.gguf_file import gguf_architecture
from darkroom.render.weights.reading import BaseWeights, built
from darkroom.render.weights.stored import Stored, stored_tensors


def build_transformer(component: Component) -> tuple[Any, BaseWeights]:
    """A ZImageTransformer2DModel on the meta device and where its weights are, each accounted for; CheckpointError."""
    stored = stored_tensors(component)
    _refuse_others(component, stored, "transformer")
    weights = layout.transformer_weights(component, stored)
    return built(ZImageTransformer2DModel, layout.transformer_config(component, weights.shapes), weights), weights


def build_vae(component: Component) -> tuple[Any, BaseWeights]:
    """An AutoencoderKL on the meta device and where its weights are, each accounted for; CheckpointError."""
    stored = stored_tensors(component)
    _refuse_others(component, stored, "vae")
    weights = vae_weights(component, stored)
    return built(AutoencoderKL, vae_config(component, weights.shapes, Z_IMAGE_FILES["vae"]), weights), weights


def check_files(transformer: Component, vae: Component) -> list[DarkroomError]:
    """What is wrong with both, as far as headers and configs show."""
    return [*caught(lambda: build_transformer(transformer)), *caught(lambda: build_vae(vae))]


def _refuse_others(component: Component, stored: Mapping[str, Stored], part: str) -> None:
    shapes = {key: tensor.shape for key, tensor in stored.items()}
    architecture = gguf_architecture(Path(component.path)) or "" if component.layout == GGUF else ""
    is_folder = component.layout == DIFFUSERS
    refuse_others(component.path, shapes, Z_IMAGE_FILES[part], is_folder=is_folder, architecture=architecture)
