"""FLUX.2 in BFL naming (also ai-toolkit's and ComfyUI's) against diffusers naming, as data; sizes read from tensors.

Knows shapes and names only. Row blocks and the swap of the final modulation: see diffusers' single_file_utils.py.
"""

import re
from collections.abc import Mapping
from typing import Any

from darkroom.errors import CheckpointError
from darkroom.render.base_weights import Layout, Part

Shapes = Mapping[str, tuple[int, ...]]

_DOUBLE_LINEARS = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "img_attn.proj": ("attn.to_out.0",),
    "img_mlp.0": ("ff.linear_in",),
    "img_mlp.2": ("ff.linear_out",),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "txt_attn.proj": ("attn.to_add_out",),
    "txt_mlp.0": ("ff_context.linear_in",),
    "txt_mlp.2": ("ff_context.linear_out",),
}
_SINGLE_LINEARS = {"linear1": ("attn.to_qkv_mlp_proj",), "linear2": ("attn.to_out",)}
_DOUBLE_NORMS = {
    "img_attn.norm.query_norm": "attn.norm_q",
    "img_attn.norm.key_norm": "attn.norm_k",
    "txt_attn.norm.query_norm": "attn.norm_added_q",
    "txt_attn.norm.key_norm": "attn.norm_added_k",
}
_SINGLE_NORMS = {"norm.query_norm": "attn.norm_q", "norm.key_norm": "attn.norm_k"}
_GUIDANCE_LINEARS = {
    "guidance_in.in_layer": "time_guidance_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_guidance_embed.guidance_embedder.linear_2",
}
_OTHER_LINEARS = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in.in_layer": "time_guidance_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_guidance_embed.timestep_embedder.linear_2",
    "double_stream_modulation_img.lin": "double_stream_modulation_img.linear",
    "double_stream_modulation_txt.lin": "double_stream_modulation_txt.linear",
    "single_stream_modulation.lin": "single_stream_modulation.linear",
    "final_layer.adaLN_modulation.1": "norm_out.linear",
    "final_layer.linear": "proj_out",
}
_SHIFT_BEFORE_SCALE = "final_layer.adaLN_modulation.1"  # diffusers has scale before shift

_BLOCK = re.compile(r"(double|single)_blocks\.(\d+)\.(.+)")


def linear_parts(module: str) -> tuple[Part, ...]:
    """The weights in one BFL linear layer (double_blocks.0.img_attn.qkv: to_q, to_k, to_v), () for another name."""
    if match := _BLOCK.fullmatch(module):
        kind, index, inside = match.groups()
        names = (_DOUBLE_LINEARS if kind == "double" else _SINGLE_LINEARS).get(inside, ())
        prefix = _prefix(kind, index)
        return tuple(Part(f"{prefix}.{name}.weight", i, len(names)) for i, name in enumerate(names))
    name = (_OTHER_LINEARS | _GUIDANCE_LINEARS).get(module)
    return (Part(f"{name}.weight", swap_halves=module == _SHIFT_BEFORE_SCALE),) if name else ()


def transformer_layout(key: str) -> tuple[Part, ...]:
    """The parameters in one tensor of a single-file transformer."""
    module, _, leaf = key.rpartition(".")
    if leaf == "weight":
        return linear_parts(module)
    match = _BLOCK.fullmatch(module)
    if leaf != "scale" or match is None:
        return ()
    kind, index, inside = match.groups()
    name = (_DOUBLE_NORMS if kind == "double" else _SINGLE_NORMS).get(inside)
    return (Part(f"{_prefix(kind, index)}.{name}.weight"),) if name else ()


def adapter_modules(config: Mapping[str, Any]) -> dict[str, tuple[Part, ...]]:
    """Every linear layer of a transformer of these sizes, by BFL name, as LoRA and LoKr files name them."""
    names = [f"double_blocks.{i}.{inside}" for i in range(config["num_layers"]) for inside in _DOUBLE_LINEARS]
    names += [f"single_blocks.{i}.{inside}" for i in range(config["num_single_layers"]) for inside in _SINGLE_LINEARS]
    names += [*_OTHER_LINEARS, *(_GUIDANCE_LINEARS if config["guidance_embeds"] else ())]
    return {name: linear_parts(name) for name in names}


def transformer_config(shapes: Shapes, path: str) -> dict[str, Any]:
    """Arguments of Flux2Transformer2DModel, from the shapes of a single file."""
    hidden, in_channels = _matrix(shapes, "img_in.weight", path)
    head = _shape(shapes, "double_blocks.0.img_attn.norm.query_norm.scale", path)[0]
    return {
        "in_channels": in_channels,
        "out_channels": _matrix(shapes, "final_layer.linear.weight", path)[0],
        "num_layers": _count(shapes, r"double_blocks\.(\d+)\..*"),
        "num_single_layers": _count(shapes, r"single_blocks\.(\d+)\..*"),
        "attention_head_dim": head,
        "num_attention_heads": hidden // head,
        "joint_attention_dim": _matrix(shapes, "txt_in.weight", path)[1],
        "timestep_guidance_channels": _matrix(shapes, "time_in.in_layer.weight", path)[1],
        "mlp_ratio": _matrix(shapes, "double_blocks.0.img_mlp.2.weight", path)[1] / hidden,
        "axes_dims_rope": (head // 4,) * 4,
        "guidance_embeds": "guidance_in.in_layer.weight" in shapes,
    }


_VAE_NAMES = (  # BFL → diffusers, the first that matches
    (r"bn\.(.+)", r"bn.\1"),
    (r"(?:en|de)coder\.((?:post_)?quant_conv\..+)", r"\1"),
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


def vae_config(shapes: Shapes, path: str) -> dict[str, Any]:
    """Arguments of AutoencoderKLFlux2, from the shapes of a single file; its decoder may be the narrower one."""
    levels = _count(shapes, r"encoder\.down\.(\d+)\..*")
    encoder, decoder = (
        tuple(_shape(shapes, f"{part}.{level}.block.0.conv1.weight", path)[0] for level in range(levels))
        for part in ("encoder.down", "decoder.up")
    )
    return {
        "block_out_channels": encoder,
        "decoder_block_out_channels": None if decoder == encoder else decoder,
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "layers_per_block": _count(shapes, r"encoder\.down\.0\.block\.(\d+)\..*"),
        "latent_channels": _shape(shapes, "decoder.conv_in.weight", path)[1],
        "use_quant_conv": "encoder.quant_conv.weight" in shapes,
        "use_post_quant_conv": "decoder.post_quant_conv.weight" in shapes,
    }


def _prefix(kind: str, index: str) -> str:
    return f"transformer_blocks.{index}" if kind == "double" else f"single_transformer_blocks.{index}"


def _count(shapes: Shapes, pattern: str) -> int:
    """1 + the largest number that the pattern finds in a key, 0 if it finds none."""
    return 1 + max((int(match[1]) for key in shapes if (match := re.fullmatch(pattern, key))), default=-1)


def _shape(shapes: Shapes, key: str, path: str) -> tuple[int, ...]:
    if key not in shapes:
        raise CheckpointError(f"{path}: lacks {key}: expected a FLUX.2 file in BFL naming")
    return shapes[key]


def _matrix(shapes: Shapes, key: str, path: str) -> tuple[int, int]:
    rows, *columns = _shape(shapes, key, path)
    if len(columns) != 1:
        raise CheckpointError(f"{path}: {key}: expected a matrix, got shape {[rows, *columns]}")
    return rows, columns[0]
