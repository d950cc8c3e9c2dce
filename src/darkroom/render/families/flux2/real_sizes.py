"""FLUX.2's models at their real sizes, by their ids in conf/model, and what these take in memory. Has no weights.

What a checkpoint has is told by its own config and shapes; these sizes are for docs/memory.md alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel

from darkroom.render.device.mode import Footprint, Workload
from darkroom.render.families.flux2.footprint import model_footprints, text_model_footprints
from darkroom.render.families.flux2.text import PARTNERS, READING
from darkroom.render.families.language_model import on_meta


@dataclass(frozen=True)
class Sizes:
    """One transformer, and of its text encoder (`PARTNERS`) what the layers do not show."""

    heads: int  # of 128
    double_blocks: int
    single_blocks: int
    embedded_guidance: bool
    text_features: int
    vocabulary: int
    distilled: str | None = None  # the id of a model of the same sizes


MODELS = {
    "flux2_klein_4b": Sizes(24, 5, 20, False, 7680, 151936, "flux2_klein_4b_distilled"),
    "flux2_klein_9b": Sizes(32, 8, 24, False, 12288, 151936, "flux2_klein_9b_distilled"),
    "flux2": Sizes(48, 8, 48, True, 15360, 131072),
}


def footprints(
    picture: Workload, dtype: torch.dtype
) -> Iterator[tuple[str, dict[str | None, Footprint], dict[str | None, Footprint]]]:
    """The ids of models of the same sizes; by quantisation, what their text encoder takes, and what they take."""
    with torch.device("meta"):
        vae = AutoencoderKLFlux2()
    for name, sizes in MODELS.items():
        text = text_model_footprints(text_encoder(sizes), picture.text_tokens, dtype)
        ids = f"{name}, {sizes.distilled}" if sizes.distilled else name
        yield ids, text, model_footprints(transformer(sizes), vae, dtype, [picture])


def transformer(sizes: Sizes) -> Any:
    """A Flux2Transformer2DModel on the meta device."""
    with torch.device("meta"):
        return Flux2Transformer2DModel(
            num_layers=sizes.double_blocks,
            num_single_layers=sizes.single_blocks,
            num_attention_heads=sizes.heads,
            joint_attention_dim=sizes.text_features,
            guidance_embeds=sizes.embedded_guidance,
        )


def text_encoder(sizes: Sizes) -> Any:
    """A Qwen3Model or MistralModel on the meta device, of which there are only the layers that are read."""
    partner = PARTNERS[sizes.text_features]
    return on_meta(partner, max(READING.states[partner.kind.title]), sizes.vocabulary)
