"""The table of docs/memory.md: what each FLUX.2 takes, by mode and quantisation. Knows the real sizes, has no weights.

The same footprints as the planner's, of modules on the meta device.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel

from darkroom.render.families.flux2_footprint import model_footprints, text_model_footprints
from darkroom.render.memory import LADDER, TEXT_LADDER, Footprint, Picture

if TYPE_CHECKING:
    from torch import nn

_TEXT_TOKENS = 512
_DTYPE = torch.bfloat16
_ROWS = {None: "none", "qfloat8": "qfloat8, qint8", "qint4": "qint4"}  # qint8 takes what qfloat8 takes


@dataclass(frozen=True)
class Sizes:
    """One transformer and its text encoder, of which only the layers are loaded that are read."""

    heads: int
    double_blocks: int
    single_blocks: int
    embedded_guidance: bool
    text_class: str
    text_hidden: int
    text_layers: int
    text_mlp: int
    vocabulary: int


MODELS = {
    "flux2_klein_4b": Sizes(24, 5, 20, False, "Qwen3", 2560, 27, 9728, 151936),
    "flux2_klein_9b": Sizes(32, 8, 24, False, "Qwen3", 4096, 27, 12288, 151936),
    "flux2": Sizes(48, 8, 48, True, "Mistral", 5120, 30, 32768, 131072),
}
_SAME = {name: f"{name}, {name}_distilled" for name in MODELS if "klein" in name}


def memory_table(width: int = 1024, height: int = 1024) -> str:
    """Markdown: estimated peak in GB (10^9 bytes) for one picture of this size, without references or live adapters."""
    heads = [f"encode, {mode}" for mode in TEXT_LADDER] + [f"render, {mode}" for mode in LADDER]
    lines = [f"| model | quantised | {' | '.join(heads)} |", f"|---|---|{'---:|' * len(heads)}"]
    for name, sizes in MODELS.items():
        text, base = footprints(sizes, Picture(width, height, 0, _TEXT_TOKENS, ()))
        for quantization, label in _ROWS.items():
            peaks = [text[quantization].peak(mode) for mode in TEXT_LADDER]
            peaks += [base[quantization].peak(mode) for mode in LADDER]
            lines.append(f"| {_SAME.get(name, name)} | {label} | {' | '.join(f'{peak / 1e9:.1f}' for peak in peaks)} |")
    return "\n".join(lines)


def footprints(sizes: Sizes, picture: Picture) -> tuple[Mapping[str | None, Footprint], Mapping[str | None, Footprint]]:
    """Of the text encoder and of the base model, by quantisation, in bfloat16."""
    text = text_model_footprints(text_encoder(sizes), _TEXT_TOKENS, _DTYPE)
    with torch.device("meta"):
        return text, model_footprints(transformer(sizes), AutoencoderKLFlux2(), _DTYPE, [picture])


def transformer(sizes: Sizes) -> "nn.Module":
    """On the meta device."""
    with torch.device("meta"):
        module: nn.Module = Flux2Transformer2DModel(
            num_layers=sizes.double_blocks,
            num_single_layers=sizes.single_blocks,
            num_attention_heads=sizes.heads,
            joint_attention_dim=3 * sizes.text_hidden,
            guidance_embeds=sizes.embedded_guidance,
        )
    return module


def text_encoder(sizes: Sizes) -> "nn.Module":
    """On the meta device."""
    import transformers

    config = getattr(transformers, f"{sizes.text_class}Config")(
        hidden_size=sizes.text_hidden,
        num_hidden_layers=sizes.text_layers,
        intermediate_size=sizes.text_mlp,
        vocab_size=sizes.vocabulary,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
    )
    with torch.device("meta"):
        module: nn.Module = getattr(transformers, f"{sizes.text_class}Model")(config)
    return module
