"""The files of FLUX.1, Flex.1 and Flex.2 checked before anything is loaded: which model, and each tensor in its place.

Reads headers and configs only, of diffusers folders. What is something else is named, with what is needed instead.
"""

from collections.abc import Mapping
from typing import Any

from diffusers import AutoencoderKL, FluxTransformer2DModel

from darkroom.base_files.kinds import FLUX1_FILES, refuse_others
from darkroom.checkpoint import DIFFUSERS, Component
from darkroom.errors import CheckpointError, DarkroomError, caught
from darkroom.render.families.autoencoder_kl import vae_config
from darkroom.render.weights.reading import BaseWeights, built, by_own_name, read_config
from darkroom.render.weights.stored import Stored, stored_tensors

FLUX1_CHANNELS, FLEX2_CHANNELS = 64, 196  # that a transformer takes for each token

_BY_CHANNELS = {
    FLUX1_CHANNELS: "FLUX.1 or Flex.1 (family: flux)",
    FLEX2_CHANNELS: "Flex.2 (family: flex2)",
    128: "FLUX.1-Canny or FLUX.1-Depth",
    384: "FLUX.1-Fill",
}
_GUIDANCE_EMBEDDER = "time_text_embed.guidance_embedder.linear_1.weight"


def build_transformer(component: Component, channels: int) -> tuple[Any, BaseWeights]:
    """A FluxTransformer2DModel that takes `channels` a token, on the meta device, and where its weights are.

    CheckpointError for another model, for one without guidance embedder, and for weights that are not its own.
    """
    stored = stored_tensors(component)
    _refuse_others(component, stored, "transformer")
    config = read_config(component, "FluxTransformer2DModel")
    found = config.get("in_channels", FLUX1_CHANNELS)
    if found != channels:
        raise CheckpointError(
            f"{component.path}: takes {found} channels a token: is {_BY_CHANNELS.get(found, 'another model')}; "
            f"{_BY_CHANNELS[channels]} is needed, which takes {channels}"
        )
    if not config.get("guidance_embeds") and _GUIDANCE_EMBEDDER not in stored:
        raise CheckpointError(
            f"{component.path}: has no guidance embedder, like FLUX.1-schnell: this family gives the guidance scale to "
            "the transformer; FLUX.1-dev, Flex.1-alpha or Flex.2-preview is needed"
        )
    weights = BaseWeights(component, stored.values(), by_own_name)
    return built(FluxTransformer2DModel, config, weights), weights


def build_vae(component: Component) -> tuple[Any, BaseWeights]:
    """An AutoencoderKL on the meta device and where its weights are, each accounted for; CheckpointError."""
    stored = stored_tensors(component)
    _refuse_others(component, stored, "vae")
    weights = BaseWeights(component, stored.values(), by_own_name)
    config = vae_config(component, weights.shapes, FLUX1_FILES["vae"])
    return built(AutoencoderKL, config, weights), weights


def check_files(transformer: Component, vae: Component, channels: int) -> list[DarkroomError]:
    """What is wrong with both, as far as headers and configs show."""
    return [*caught(lambda: build_transformer(transformer, channels)), *caught(lambda: build_vae(vae))]


def _refuse_others(component: Component, stored: Mapping[str, Stored], part: str) -> None:
    shapes = {key: tensor.shape for key, tensor in stored.items()}
    refuse_others(component.path, shapes, FLUX1_FILES[part], is_folder=component.layout == DIFFUSERS)
