"""Z-Image's transformer in ComfyUI's names against diffusers', as data; its sizes read from tensors.

ComfyUI's single files (z_image_bf16.safetensors, z_image_turbo_bf16.safetensors) have q, k and v in one tensor. Against
diffusers' single_file_utils.py and ai-toolkit's toolkit/models/v2/z_image.py.
"""

import re
from collections.abc import Mapping
from typing import Any

from darkroom.base_files.key_prefix import shared_prefix
from darkroom.checkpoint import DIFFUSERS, Component
from darkroom.errors import CheckpointError
from darkroom.render.weights.reading import BaseWeights, Part, count, read_config
from darkroom.render.weights.stored import Stored, stored_tensors

Shapes = Mapping[str, tuple[int, ...]]

# Embedders and the final layer, which ai-toolkit quantises since 0.10.24 no more (toolkit/models/v2/z_image.py).
EMBEDDERS = ("t_embedder", "cap_embedder", "all_x_embedder", "all_final_layer", "siglip_embedder")

_QKV = re.compile(r"(.+\.attention)\.qkv\.weight")
_NAMES = (  # ComfyUI → diffusers, the first that matches; diffusers' own names stay
    (r"(.+\.attention)\.out\.(.+)", r"\1.to_out.0.\2"),
    (r"(.+\.attention)\.([qk])_norm\.(.+)", r"\1.norm_\2.\3"),
    (r"x_embedder\.(.+)", r"all_x_embedder.2-1.\1"),
    (r"final_layer\.(.+)", r"all_final_layer.2-1.\1"),
)
_NOT_READ = "norm_final.weight"  # in some files, and of no use: the final layer's norm has no weight
_CLASS = "ZImageTransformer2DModel"
_PATCH = 2  # pixels of the latents a side that make a token


def transformer_layout(key: str) -> tuple[Part, ...]:
    """The parameters in one tensor of a transformer, by its key without what stands before all keys."""
    if match := _QKV.fullmatch(key):
        return tuple(Part(f"{match[1]}.to_{name}.weight", i, 3) for i, name in enumerate("qkv"))
    for pattern, replacement in _NAMES:
        if match := re.fullmatch(pattern, key):
            return (Part(match.expand(replacement)),)
    return (Part(key),)


def transformer_weights(component: Component, stored: Mapping[str, Stored]) -> BaseWeights:
    """The weights of a transformer by diffusers' names, whichever its files have."""
    prefix = shared_prefix(stored)
    read = [tensor for key, tensor in stored.items() if key.removeprefix(prefix) != _NOT_READ]
    return BaseWeights(component, read, lambda key: transformer_layout(key.removeprefix(prefix)))


def transformer_config(component: Component, shapes: Shapes) -> dict[str, Any]:
    """Arguments of ZImageTransformer2DModel: of config.json in a folder, else from the shapes of its parameters."""
    if component.layout == DIFFUSERS:
        return read_config(component, _CLASS)
    path = component.path
    hidden, patch = _matrix(shapes, "all_x_embedder.2-1.weight", path)
    head = _shape(shapes, "layers.0.attention.norm_q.weight", path)[0]
    return {
        "in_channels": patch // _PATCH**2,
        "dim": hidden,
        "n_layers": count(shapes, r"layers\.(\d+)\..+"),
        "n_refiner_layers": count(shapes, r"noise_refiner\.(\d+)\..+"),
        "n_heads": hidden // max(head, 1),
        "n_kv_heads": _matrix(shapes, "layers.0.attention.to_k.weight", path)[0] // max(head, 1),
        "cap_feat_dim": _matrix(shapes, "cap_embedder.1.weight", path)[1],
        "axes_dims": [head // 4, 3 * head // 8, 3 * head // 8],
        "axes_lens": [1536, 512, 512],
    }


def text_features(component: Component) -> int:
    """Features a token that a transformer takes: 2560. Reads headers only."""
    shapes = transformer_weights(component, stored_tensors(component)).shapes
    return _matrix(shapes, "cap_embedder.1.weight", component.path)[1]


def _shape(shapes: Shapes, parameter: str, path: str) -> tuple[int, ...]:
    if parameter not in shapes:
        raise CheckpointError(
            f"{path}: lacks {parameter}: expected a Z-Image transformer in ComfyUI or diffusers naming"
        )
    return shapes[parameter]


def _matrix(shapes: Shapes, parameter: str, path: str) -> tuple[int, int]:
    shape = _shape(shapes, parameter, path)
    if len(shape) != 2:
        raise CheckpointError(f"{path}: {parameter}: expected a matrix, got shape {list(shape)}")
    return shape[0], shape[1]
