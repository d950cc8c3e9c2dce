"""FLUX.2 checkpoints and adapters of the real shapes with random weights, for measuring where no weights can be had.

Values keep activations finite: a linear layer's have the spread of its initialisation, norms are one, biases zero.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLFlux2
from safetensors.torch import save_file

from darkroom.checkpoint import DIFFUSERS, Checkpoint, Component
from darkroom.lora_files.families import NAMINGS
from darkroom.lora_files.layers import layers_in
from darkroom.render.families.flux2.real_sizes import MODELS, Sizes, transformer

# For `--tiny`: a model of the same code that a CPU renders in a second.
TINY = Sizes(heads=1, double_blocks=1, single_blocks=2, embedded_guidance=False, text_features=96, vocabulary=64)
_VAE_OF_TINY = {"block_out_channels": (32, 32, 32, 32), "layers_per_block": 1, "norm_num_groups": 8}


@dataclass(frozen=True)
class RandomModel:
    """A checkpoint on disk; `layers`: what adapters can name, with their shapes (rows, columns)."""

    name: str
    checkpoint: Checkpoint
    text_features: int
    layers: Mapping[str, tuple[int, int]]
    bytes: int


def write_model(folder: Path, name: str, device: torch.device, blocks: tuple[int, int] | None = None) -> RandomModel:
    """`name`: one of real_sizes.MODELS, or tiny. Random numbers are drawn on `device`, 8 GB of klein-4B in seconds.

    `blocks`: double and single ones, in place of all that the model has.
    """
    sizes = TINY if name == "tiny" else MODELS[name]
    if blocks:
        sizes = replace(sizes, double_blocks=blocks[0], single_blocks=blocks[1])
    on_meta = transformer(sizes)
    generator = torch.Generator(device).manual_seed(0)
    tensors = {key: _drawn(key, tensor.shape, generator, device) for key, tensor in on_meta.state_dict().items()}
    _save(folder / "transformer", tensors, on_meta.config, "Flux2Transformer2DModel")
    torch.manual_seed(0)
    vae = AutoencoderKLFlux2(**(_VAE_OF_TINY if name == "tiny" else {})).to(torch.bfloat16)
    vae.save_pretrained(folder / "vae")
    # Digests of what is random say nothing; the same for each model by name.
    parts = {part: Component(str(folder / part), DIFFUSERS, f"{name}-{part}") for part in ("transformer", "vae")}
    return RandomModel(
        name=name,
        checkpoint=Checkpoint(name, None, parts),
        text_features=sizes.text_features,
        layers=layers_in({key: tuple(tensor.shape) for key, tensor in tensors.items()}, NAMINGS["flux2"]),
        bytes=sum(tensor.nbytes for tensor in tensors.values()),
    )


def write_lora(path: Path, model: RandomModel, rank: int, device: torch.device) -> None:
    """A LoRA of every layer in blocks, in ai-toolkit's names, small enough that the picture stays one."""
    generator = torch.Generator(device).manual_seed(rank)
    tensors = {}
    for layer, (rows, columns) in _in_blocks(model):
        for side, shape in (("A", (rank, columns)), ("B", (rows, rank))):
            key = f"diffusion_model.{layer}.lora_{side}.weight"
            tensors[key] = _normal(shape, 0.01, generator, device)
    _write(path, tensors)


def write_lokr(path: Path, model: RandomModel, device: torch.device) -> None:
    """A LoKr of two whole factors for every layer in blocks: the larger one has a 16th of the layer's weights."""
    generator = torch.Generator(device).manual_seed(1)
    tensors = {}
    for layer, (rows, columns) in _in_blocks(model):
        for name, shape in (("lokr_w1", (4, 4)), ("lokr_w2", (rows // 4, columns // 4))):
            tensors[f"diffusion_model.{layer}.{name}"] = _normal(shape, 0.02, generator, device)
    _write(path, tensors)


def touched_bytes(model: RandomModel) -> int:
    """Of the weights in bfloat16 that those adapters change."""
    return sum(2 * rows * columns for _, (rows, columns) in _in_blocks(model))


def _in_blocks(model: RandomModel) -> Iterator[tuple[str, tuple[int, int]]]:
    return ((name, shape) for name, shape in model.layers.items() if "_blocks." in name)


def _drawn(key: str, shape: torch.Size, generator: torch.Generator, device: torch.device) -> torch.Tensor:
    if len(shape) < 2:
        fill = torch.ones if "norm" in key and key.endswith("weight") else torch.zeros
        return fill(shape, dtype=torch.bfloat16)
    return _normal(tuple(shape), shape[1] ** -0.5, generator, device)


def _normal(shape: tuple[int, ...], spread: float, generator: torch.Generator, device: torch.device) -> torch.Tensor:
    return (torch.randn(shape, generator=generator, device=device) * spread).to("cpu", torch.bfloat16)


def _save(folder: Path, tensors: dict[str, torch.Tensor], config: Mapping[str, Any], class_name: str) -> None:
    folder.mkdir(parents=True)
    _write(folder / "diffusion_pytorch_model.safetensors", tensors)
    values = {key: value for key, value in config.items() if not key.startswith("_")}
    (folder / "config.json").write_text(json.dumps({"_class_name": class_name, **values}))


def _write(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
