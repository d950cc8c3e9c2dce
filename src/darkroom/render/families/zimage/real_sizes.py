"""Z-Image at its real size, by its ids in conf/model, and what it takes in memory. Has no weights.

What a checkpoint has is told by its own config and shapes; these sizes are for docs/memory.md alone.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from diffusers import ZImageTransformer2DModel

from darkroom.render.device.mode import Footprint, Workload
from darkroom.render.families import autoencoder_kl, language_model
from darkroom.render.families.zimage.footprint import model_footprints, text_model_footprints
from darkroom.render.families.zimage.text import PARTNERS

MODELS = {"zimage, zimage_deturbo": 2, "zimage_turbo": 1}  # of the same sizes; passes at a time, by default guidance
_VOCABULARY = 151936


def footprints(
    picture: Workload, dtype: torch.dtype
) -> Iterator[tuple[str, dict[str | None, Footprint], dict[str | None, Footprint]]]:
    """The ids of models; by quantisation, what their text encoder takes, and what they take."""
    text = text_model_footprints(text_encoder(), picture.text_tokens, dtype)
    base, vae = transformer(), autoencoder_kl.on_meta()
    for ids, passes in MODELS.items():
        yield ids, text, model_footprints(base, vae, dtype, [replace(picture, passes=passes)])


def transformer() -> Any:
    """A ZImageTransformer2DModel on the meta device: 6.15 billion numbers."""
    with torch.device("meta"):
        return ZImageTransformer2DModel(axes_lens=[1536, 512, 512])


def text_encoder() -> Any:
    """Qwen3-4B on the meta device, without its last layer."""
    (partner,) = PARTNERS.values()
    return language_model.on_meta(partner, partner.layers - 1, _VOCABULARY)
