"""FLUX.2 transformers in BFL naming (also ai-toolkit's, ComfyUI's and GGUF files') against diffusers naming.

Tells the parameters in a tensor and the sizes of a transformer. The linear layers are those of lora_files/flux2.py; the
swap of the final modulation: see diffusers' single_file_utils.py. What is no FLUX.2 transformer, build.py tells.
"""

import re
from collections.abc import Mapping
from typing import Any

from darkroom.base_files.key_prefix import shared_prefix
from darkroom.checkpoint import DIFFUSERS, Component
from darkroom.errors import CheckpointError
from darkroom.lora_files.flux2 import FLUX2_NAMING
from darkroom.render.weights.reading import BaseWeights, Part, by_own_name, count, read_config
from darkroom.render.weights.stored import Stored, stored_tensors

Shapes = Mapping[str, tuple[int, ...]]

_DOUBLE_NORMS = {
    "img_attn.norm.query_norm": "attn.norm_q",
    "img_attn.norm.key_norm": "attn.norm_k",
    "txt_attn.norm.query_norm": "attn.norm_added_q",
    "txt_attn.norm.key_norm": "attn.norm_added_k",
}
_SINGLE_NORMS = {"norm.query_norm": "attn.norm_q", "norm.key_norm": "attn.norm_k"}
_SHIFT_BEFORE_SCALE = "final_layer.adaLN_modulation.1"  # diffusers has scale before shift


_TIME = "time_guidance_embed"
_BLOCK = re.compile(r"(double|single)_blocks\.(\d+)\.(.+)")
_INSIDE = {blocks.kind: blocks.inside for blocks in FLUX2_NAMING.blocks}


def linear_parts(module: str) -> tuple[Part, ...]:
    """The weights in one BFL linear layer (double_blocks.0.img_attn.qkv: to_q, to_k, to_v), () for another name."""
    if match := _BLOCK.fullmatch(module):
        kind, index, inside = match.groups()
        layer = _INSIDE[kind].get(inside)
        names, prefix = layer.parts if layer else (), _prefix(kind, index)
        return tuple(Part(f"{prefix}.{name}.weight", i, len(names)) for i, name in enumerate(names))
    layer = FLUX2_NAMING.outside.get(module)
    return (Part(f"{layer.parts[0]}.weight", swap_halves=module == _SHIFT_BEFORE_SCALE),) if layer else ()


def transformer_layout(key: str) -> tuple[Part, ...]:
    """The parameters in one tensor of a single-file transformer, by its key without what stands before all keys."""
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
    known, counts = FLUX2_NAMING, (config["num_layers"], config["num_single_layers"])
    names = [
        f"{blocks.name}.{i}.{inside}"
        for blocks, count in zip(known.blocks, counts, strict=True)
        for i in range(count)
        for inside in blocks.inside
    ]
    names += [*known.beside, *(known.guidance if config["guidance_embeds"] else ())]
    return {name: linear_parts(name) for name in names}


def transformer_config(shapes: Shapes, path: str) -> dict[str, Any]:
    """Arguments of Flux2Transformer2DModel, from the shapes of its parameters."""
    hidden, in_channels = _matrix(shapes, "x_embedder.weight", path)
    head = _shape(shapes, "transformer_blocks.0.attn.norm_q.weight", path)[0]
    return {
        "in_channels": in_channels,
        "out_channels": _matrix(shapes, "proj_out.weight", path)[0],
        "num_layers": count(shapes, r"transformer_blocks\.(\d+)\..*"),
        "num_single_layers": count(shapes, r"single_transformer_blocks\.(\d+)\..*"),
        "attention_head_dim": head,
        "num_attention_heads": hidden // head,
        "joint_attention_dim": _matrix(shapes, "context_embedder.weight", path)[1],
        "timestep_guidance_channels": _matrix(shapes, f"{_TIME}.timestep_embedder.linear_1.weight", path)[1],
        "mlp_ratio": _matrix(shapes, "transformer_blocks.0.ff.linear_out.weight", path)[1] / hidden,
        "axes_dims_rope": (head // 4,) * 4,
        "guidance_embeds": f"{_TIME}.guidance_embedder.linear_1.weight" in shapes,
    }


def text_features(component: Component) -> int:
    """Features a token that a transformer takes: 7680 klein-4B, 12288 klein-9B, 15360 dev. Reads headers only."""
    if component.layout == DIFFUSERS:
        return int(_configured(component, "joint_attention_dim"))
    return _matrix(_single_file(component), "context_embedder.weight", component.path)[1]


def has_guidance_embedder(component: Component) -> bool:
    """Whether a transformer takes the guidance scale as an input: dev, not klein. Reads headers only."""
    if component.layout == DIFFUSERS:
        return bool(_configured(component, "guidance_embeds"))
    return f"{_TIME}.guidance_embedder.linear_1.weight" in _single_file(component)


def _configured(component: Component, name: str) -> Any:
    config = read_config(component, "Flux2Transformer2DModel")
    if name not in config:
        raise CheckpointError(f"{component.path}/config.json: lacks {name}; is its download complete?")
    return config[name]


def _single_file(component: Component) -> Shapes:
    return transformer_weights(component, stored_tensors(component)).shapes


def transformer_weights(component: Component, stored: Mapping[str, Stored]) -> BaseWeights:
    """The weights of a transformer by diffusers' names, whichever its files have."""
    prefix = shared_prefix(stored)
    own = any(key.startswith(f"{prefix}single_transformer_blocks.") for key in stored)
    layout = by_own_name if own else transformer_layout
    return BaseWeights(component, stored.values(), lambda key: layout(key.removeprefix(prefix)))


def _prefix(kind: str, index: str) -> str:
    return f"transformer_blocks.{index}" if kind == "double" else f"single_transformer_blocks.{index}"


def _shape(shapes: Shapes, parameter: str, path: str) -> tuple[int, ...]:
    if parameter not in shapes:
        raise CheckpointError(f"{path}: lacks {parameter}: expected a FLUX.2 transformer in BFL or diffusers naming")
    return shapes[parameter]


def _matrix(shapes: Shapes, parameter: str, path: str) -> tuple[int, int]:
    rows, *columns = _shape(shapes, parameter, path)
    if len(columns) != 1:
        raise CheckpointError(f"{path}: {parameter}: expected a matrix, got shape {[rows, *columns]}")
    return rows, columns[0]
