"""The demo's model in miniature: real classes of diffusers and transformers at tiny sizes. Trains nothing.

What is fixed by the real model stays: latents at an eighth of the size, joined two by two, hidden states 9, 18 and 27
as the embedding, four axes of positions. Latent channels are fewer than the real 32: a width of 160 has no room for
four times as many, and flat shapes do not need them.
"""

from collections.abc import Sequence

import torch
from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel
from torch import Tensor, nn
from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3Model

from demo_training.stage import DEVICE
from demo_training.text import VOCABULARY, tokens

LATENT_CHANNELS = 8
HIDDEN = 160
TEXT_HIDDEN = 64
LAYERS = {"double_blocks": 2, "single_blocks": 4}
TEXT_LAYERS = (9, 18, 27)  # hidden states that make the embedding
_FIRST_REFERENCE = 10  # position in time of a reference image's tokens


def tiny_vae() -> AutoencoderKLFlux2:
    return AutoencoderKLFlux2(
        block_out_channels=(16, 32, 64, 64),
        layers_per_block=1,
        norm_num_groups=2,
        latent_channels=LATENT_CHANNELS,
    )


def tiny_transformer() -> Flux2Transformer2DModel:
    return Flux2Transformer2DModel(
        in_channels=4 * LATENT_CHANNELS,
        num_layers=LAYERS["double_blocks"],
        num_single_layers=LAYERS["single_blocks"],
        attention_head_dim=32,
        num_attention_heads=HIDDEN // 32,
        joint_attention_dim=len(TEXT_LAYERS) * TEXT_HIDDEN,
        axes_dims_rope=(8, 8, 8, 8),
        guidance_embeds=False,
    )


def tiny_text_encoder(vocabulary: int) -> Qwen3Model:
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=TEXT_HIDDEN,
        intermediate_size=2 * TEXT_HIDDEN,
        num_hidden_layers=28,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=4096,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        tie_word_embeddings=True,
    )
    return Qwen3Model(config)


class Model(nn.Module):
    """Text encoder and transformer, as one thing to train."""

    def __init__(self) -> None:
        super().__init__()
        self.text: Qwen3Model = tiny_text_encoder(VOCABULARY)
        self.transformer: Flux2Transformer2DModel = tiny_transformer()
        nn.init.zeros_(self.transformer.proj_out.weight)

    def embed(self, tokenizer: Qwen2Tokenizer, prompts: Sequence[str]) -> Tensor:
        """(prompts, tokens, 3 hidden sizes)"""
        return self.embed_ids(*(each.to(DEVICE) for each in tokens(tokenizer, prompts)))

    def compile_parts(self) -> None:
        self.embed_ids = torch.compile(self.embed_ids, dynamic=False)  # type: ignore[method-assign]
        self.velocity = torch.compile(self.velocity, dynamic=False)  # type: ignore[method-assign]

    def embed_ids(self, ids: Tensor, mask: Tensor) -> Tensor:
        output = self.text(
            input_ids=ids,
            attention_mask=mask,
            output_hidden_states=True,
            use_cache=False,
        )
        return torch.cat([output.hidden_states[layer] for layer in TEXT_LAYERS], -1)

    def velocity(self, noisy: Tensor, times: Tensor, embeds: Tensor, seen: Tensor | None = None) -> Tensor:
        """Of image tokens (n, hw, 4 C); `seen`: tokens of one reference image each."""
        whole = noisy if seen is None else torch.cat([noisy, seen], 1)
        places = positions(noisy.shape[1], 0)
        if seen is not None:
            places = torch.cat([places, positions(seen.shape[1], _FIRST_REFERENCE)])
        zero = torch.zeros(1, dtype=torch.int64, device=DEVICE)
        text_places = torch.cartesian_prod(zero, zero, zero, torch.arange(embeds.shape[1], device=DEVICE))
        predicted: Tensor = self.transformer(
            hidden_states=whole,
            timestep=times,
            guidance=None,
            encoder_hidden_states=embeds,
            img_ids=places,
            txt_ids=text_places,
            return_dict=False,
        )[0]
        return predicted[:, : noisy.shape[1]]


def positions(count: int, time: int) -> Tensor:
    """(time, row, column, 0) of a square picture's tokens, (count, 4)."""
    side = torch.arange(round(count**0.5), device=DEVICE)
    return torch.cartesian_prod(torch.full((1,), time, device=DEVICE), side, side, side[:1])
