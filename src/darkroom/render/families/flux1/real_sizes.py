"""FLUX.1-dev, Flex.1 and Flex.2 at their real sizes, by their ids in conf/model, and what these take in memory.

Has no weights. What a checkpoint has is told by its own config and shapes; these sizes are for docs/memory.md alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import FluxTransformer2DModel

from darkroom.render.device.mode import Footprint, Workload
from darkroom.render.families import autoencoder_kl
from darkroom.render.families.flux1.build import FLEX2_CHANNELS, FLUX1_CHANNELS
from darkroom.render.families.flux1.footprint import model_footprints
from darkroom.render.families.flux1.text import ClipAndT5, text_model_footprints


@dataclass(frozen=True)
class Sizes:
    """What the transformers differ in."""

    double_blocks: int
    channels: int  # taken for each token; 64 come out


MODELS = {
    "flux": Sizes(19, FLUX1_CHANNELS),
    "flex1": Sizes(8, FLUX1_CHANNELS),
    "flex2": Sizes(8, FLEX2_CHANNELS),
}


def footprints(
    picture: Workload, dtype: torch.dtype
) -> Iterator[tuple[str, dict[str | None, Footprint], dict[str | None, Footprint]]]:
    """The id of a model; by quantisation, what its text encoders take together, and what it takes."""
    text = text_model_footprints(text_encoders(), picture.text_tokens, dtype)
    decoder = autoencoder_kl.on_meta()
    for name, sizes in MODELS.items():
        yield name, text, model_footprints(transformer(sizes), decoder, dtype, [picture])


def transformer(sizes: Sizes) -> Any:
    """A FluxTransformer2DModel on the meta device."""
    with torch.device("meta"):
        return FluxTransformer2DModel(
            in_channels=sizes.channels,
            out_channels=FLUX1_CHANNELS,
            num_layers=sizes.double_blocks,
            num_single_layers=38,
            guidance_embeds=True,
        )


def text_encoders() -> ClipAndT5:
    """CLIP-L and T5-XXL on the meta device; all three have the same."""
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    clip = CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    t5 = T5Config(d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, feed_forward_proj="gated-gelu")
    with torch.device("meta"):
        return ClipAndT5(CLIPTextModel(clip), T5EncoderModel(t5).encoder, attn_masking=False)
