"""VAEs of FLUX.1 and FLUX.2 in BFL's naming against diffusers' naming, as data; sizes read from tensors.

ae.safetensors of BFL and ai-toolkit and the small decoder (full_encoder_small_decoder.safetensors) have BFL's naming,
ComfyUI's flux2-vae.safetensors has diffusers'. Knows shapes and names only.
"""

import re
from collections.abc import Mapping
from typing import Any

from darkroom.base_files.key_prefix import shared_prefix
from darkroom.checkpoint import Component
from darkroom.errors import CheckpointError
from darkroom.render.weights.reading import BaseWeights, Layout, Part, by_own_name, count
from darkroom.render.weights.stored import Stored

Shapes = Mapping[str, tuple[int, ...]]

_VAE_NAMES = (  # BFL → diffusers, the first that matches
    (r"bn\.(.+)", r"bn.\1"),
    (r"(?:(?:en|de)coder\.)?((?:post_)?quant_conv\..+)", r"\1"),  # BFL's inside, others' outside
    (r"((?:en|de)coder)\.(conv_in|conv_out)\.(.+)", r"\1.\2.\3"),
    (r"((?:en|de)coder)\.norm_out\.(.+)", r"\1.conv_norm_out.\2"),
    (r"((?:en|de)coder)\.mid\.block_1\.(.+)", r"\1.mid_block.resnets.0.\2"),
    (r"((?:en|de)coder)\.mid\.block_2\.(.+)", r"\1.mid_block.resnets.1.\2"),
    (r"((?:en|de)coder)\.mid\.attn_1\.norm\.(.+)", r"\1.mid_block.attentions.0.group_norm.\2"),
    (r"((?:en|de)coder)\.mid\.attn_1\.proj_out\.(.+)", r"\1.mid_block.attentions.0.to_out.0.\2"),
    (r"((?:en|de)coder)\.mid\.attn_1\.([qkv])\.(.+)", r"\1.mid_block.attentions.0.to_\2.\3"),
    (r"encoder\.down\.(\d+)\.block\.(.+)", r"encoder.down_blocks.\1.resnets.\2"),
    (r"encoder\.down\.(\d+)\.downsample\.(.+)", r"encoder.down_blocks.\1.downsamplers.0.\2"),
    (r"decoder\.up\.(\d+)\.block\.(.+)", r"decoder.up_blocks.\1.resnets.\2"),
    (r"decoder\.up\.(\d+)\.upsample\.(.+)", r"decoder.up_blocks.\1.upsamplers.0.\2"),
)
_VAE_CONVOLVED_LINEAR = re.compile(r".*\.attn_1\.(q|k|v|proj_out)\.weight")


def vae_layout(levels: int) -> Layout:
    """The layout of a single-file VAE with `levels` resolutions; BFL counts the decoder's from the finest."""

    def layout(key: str) -> tuple[Part, ...]:
        for pattern, replacement in _VAE_NAMES:
            if match := re.fullmatch(pattern, key):
                name = match.expand(replacement).replace("nin_shortcut", "conv_shortcut")
                name = re.sub(r"(?<=up_blocks\.)\d+", lambda level: str(levels - 1 - int(level[0])), name)
                return (Part(name, squeeze=_VAE_CONVOLVED_LINEAR.fullmatch(key) is not None),)
        return ()

    return layout


def vae_weights(component: Component, stored: Mapping[str, Stored]) -> BaseWeights:
    """The weights of a VAE by diffusers' names, whichever its files have."""
    prefix = shared_prefix(stored)
    levels = count(dict.fromkeys(stored, ()), rf"{re.escape(prefix)}encoder\.down\.(\d+)\..*")
    layout = vae_layout(levels) if levels else by_own_name
    return BaseWeights(component, stored.values(), lambda key: layout(key.removeprefix(prefix)))


def sizes_of(shapes: Shapes, path: str) -> dict[str, Any]:
    """Arguments of diffusers' autoencoders, from the shapes of the parameters."""
    levels = count(shapes, r"encoder\.down_blocks\.(\d+)\..*")
    if not levels:
        raise CheckpointError(f"{path}: holds no encoder: expected a whole VAE, such as ae.safetensors, not a decoder")
    return {
        "block_out_channels": _channels_by_level(shapes, "encoder.down_blocks", levels, path),
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "layers_per_block": count(shapes, r"encoder\.down_blocks\.0\.resnets\.(\d+)\..*"),
        "latent_channels": _channels(shapes, "decoder.conv_in.weight", path)[1],
        "use_quant_conv": "quant_conv.weight" in shapes,
        "use_post_quant_conv": "post_quant_conv.weight" in shapes,
    }


def decoder_channels(shapes: Shapes, path: str) -> tuple[int, ...]:
    """`block_out_channels` of a decoder, which may be narrower than its encoder."""
    levels = count(shapes, r"decoder\.up_blocks\.(\d+)\..*")
    # Blocks are counted from the coarsest, channels from the finest.
    return _channels_by_level(shapes, "decoder.up_blocks", levels, path)[::-1]


def _channels_by_level(shapes: Shapes, blocks: str, levels: int, path: str) -> tuple[int, ...]:
    return tuple(_channels(shapes, f"{blocks}.{level}.resnets.0.conv1.weight", path)[0] for level in range(levels))


def _channels(shapes: Shapes, parameter: str, path: str) -> tuple[int, int]:
    """Channels out and in of a convolution."""
    if len(shape := shapes.get(parameter, ())) != 4:
        raise CheckpointError(
            f"{path}: {parameter}: expected a convolution of a VAE in BFL or diffusers naming, got "
            f"{f'shape {list(shape)}' if shape else 'none'}"
        )
    return shape[0], shape[1]
