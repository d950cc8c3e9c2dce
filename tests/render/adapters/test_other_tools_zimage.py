"""One adapter of Z-Image in the names of many tools: the weights that it makes are the same; and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.render.goldens import CPU, ZIMAGE, zimage_checkpoint

from darkroom.errors import AdapterError
from darkroom.lora_files.file import read_lora
from darkroom.lora_files.flux2 import FLUX2_NAMING
from darkroom.lora_files.judge import judge
from darkroom.lora_files.layers import layers_in, layers_of
from darkroom.lora_files.zimage import Z_IMAGE, Z_IMAGE_NAMING
from darkroom.render.adapters.file import Adapter, read_adapter
from darkroom.render.adapters.stack import AdapterStack
from darkroom.render.families.zimage import real_sizes, zimage
from darkroom.render.weights.base import Base
from darkroom.request.request import Request

Tensors = dict[str, torch.Tensor]
RANK = 4
LAYERS = {
    **{f"layers.1.attention.to_{part}": (96, 96) for part in "qkv"},
    "layers.1.attention.to_out.0": (96, 96),
    "layers.2.feed_forward.w2": (96, 256),
    "noise_refiner.0.adaLN_modulation.0": (384, 96),
    "context_refiner.0.feed_forward.w1": (256, 96),
}


@pytest.fixture(scope="module")
def base() -> Base:
    """Three main blocks and one refining block of each kind, hidden size 96, bfloat16."""
    from tests.render.conftest import REQUEST

    request = REQUEST.changed(family="zimage", dtype="bfloat16")
    return zimage.load(zimage_checkpoint("zimage"), request.base, CPU)


@pytest.fixture
def read(base: Base, tmp_path: Path) -> Callable[[Tensors], Adapter]:
    def save_and_read(tensors: Tensors) -> Adapter:
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, tmp_path / "my.safetensors")
        return read_adapter(tmp_path / "my.safetensors", base.adapter_shapes(), Z_IMAGE_NAMING)

    return save_and_read


def pairs() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """(down, up) of each layer."""
    drawn = torch.Generator().manual_seed(0)
    return {
        name: (torch.randn(RANK, columns, generator=drawn) * 0.2, torch.randn(rows, RANK, generator=drawn) * 0.2)
        for name, (rows, columns) in LAYERS.items()
    }


def written(key: str, sides: tuple[str, str] = ("A", "B"), alpha: float | None = None) -> Tensors:
    """`key`: {} for the layer, [] for the layer with underscores, ? for the side."""
    found = {}
    for name, pair in pairs().items():
        named = key.replace("{}", name).replace("[]", name.replace(".", "_"))
        found |= {named.replace("?", side): tensor for side, tensor in zip(sides, pair, strict=True)}
        if alpha is not None:
            found[f"{named.partition('.lora')[0]}.alpha"] = torch.tensor(alpha)
    return found


def fused(key: str, sides: tuple[str, str], dots: bool, alpha: float | None = None) -> Tensors:
    """As musubi-tuner and OneTrainer convert for ComfyUI: q, k and v in one LoRA of three times the rank."""
    layers = pairs()
    q, k, v = (layers.pop(f"layers.1.attention.to_{part}") for part in "qkv")
    joined = {"layers.1.attention.qkv": (torch.cat([q[0], k[0], v[0]]), torch.block_diag(q[1], k[1], v[1]))}
    joined |= {name.replace("attention.to_out.0", "attention.out"): pair for name, pair in layers.items()}
    found = {}
    for name, pair in joined.items():
        named = key.replace("{}", name if dots else name.replace(".", "_"))
        found |= {named.replace("?", side): tensor for side, tensor in zip(sides, pair, strict=True)}
        if alpha is not None:
            times = 3 if name.endswith("qkv") else 1
            found[f"{named.partition('.lora')[0]}.alpha"] = torch.tensor(alpha * times)
    return found


def merged(base: Base, adapter: Adapter) -> Tensors:
    stack = AdapterStack(base)
    stack.apply([(adapter, 0.7)], "merged")
    weights = {name: base.transformer.get_parameter(f"{name}.weight").clone() for name in LAYERS}
    stack.apply([], "merged")
    return weights


@pytest.mark.parametrize(
    ("tensors", "tool"),
    [
        (written("transformer.{}.lora_?.weight"), "diffusers or ai-toolkit"),
        (written("base_model.model.{}.lora_?.weight"), "PEFT"),
        (written("lora_unet_[].lora_?.weight", ("down", "up"), RANK), "kohya (sd-scripts, musubi-tuner)"),
        (written("diffusion_model.{}.lora_?.weight", alpha=RANK), "ai-toolkit or ComfyUI"),  # musubi's convert_lora.py
        (written("transformer.{}.lora_?.weight", ("down", "up"), RANK), "OneTrainer"),
    ],
)
def test_the_same_names_as_other_tools_write_them(
    base: Base, read: Callable[[Tensors], Adapter], tensors: Tensors, tool: str
) -> None:
    trainers, other = read(written("diffusion_model.{}.lora_?.weight")), read(tensors)
    assert (other.tool, other.matched_keys) == (tool, len(tensors))
    ours, theirs = merged(base, trainers), merged(base, other)
    assert all(torch.equal(ours[name], theirs[name]) for name in LAYERS)


@pytest.mark.parametrize(
    "tensors",
    [
        fused("lora_unet_{}.lora_?.weight", ("down", "up"), dots=False, alpha=RANK),  # musubi-tuner's converter; kohya
        fused("diffusion_model.{}.lora_?.weight", ("A", "B"), dots=True),  # ComfyUI's own
        fused("{}.lora_?.weight", ("A", "B"), dots=True, alpha=RANK),  # OneTrainer's "original"
    ],
)
def test_comfyuis_names_with_q_k_and_v_in_one(base: Base, read: Callable[[Tensors], Adapter], tensors: Tensors) -> None:
    trainers, other = read(written("diffusion_model.{}.lora_?.weight")), read(tensors)
    assert other.matched_keys == len(tensors)
    ours, theirs = merged(base, trainers), merged(base, other)
    for name in LAYERS:
        # A sum of three times as many products, two thirds of them zeros, may be added in another order.
        assert torch.allclose(ours[name], theirs[name], atol=2**-9)
        assert (ours[name] != theirs[name]).float().mean() < 0.01


def test_a_lokr_of_lycoris_has_underscores(base: Base, read: Callable[[Tensors], Adapter]) -> None:
    name = "layers.0.feed_forward.w3"
    factors = {"lokr_w1": torch.randn(8, 4), "lokr_w2": torch.randn(32, 24)}
    dotted = read({f"diffusion_model.{name}.{factor}": tensor for factor, tensor in factors.items()})
    lined = read({f"lycoris_{name.replace('.', '_')}.{factor}": tensor for factor, tensor in factors.items()})
    assert lined.deltas.keys() == dotted.deltas.keys() == {name}


def test_the_layers_are_those_of_the_module_and_of_either_naming(base: Base, tmp_path: Path) -> None:
    stored = load_file(ZIMAGE / "zimage" / "transformer" / "diffusion_pytorch_model.safetensors")
    shapes = {key: tuple(tensor.shape) for key, tensor in stored.items()}
    assert layers_in(shapes, Z_IMAGE_NAMING) == base.adapter_shapes()
    comfy = {key.replace("all_", "").replace(".2-1", ""): shape for key, shape in shapes.items()}
    fused = {key: shape for key, shape in comfy.items() if ".attention.to_" not in key}
    for key in comfy:
        if key.endswith("to_q.weight"):
            fused[key.replace("to_q", "qkv")] = (288, 96)
            fused[key.replace("to_q", "out")] = (96, 96)
    assert layers_in(fused, Z_IMAGE_NAMING) == base.adapter_shapes()


def test_the_known_base_has_the_layers_of_the_real_one() -> None:
    linear = {
        name: (layer.out_features, layer.in_features)
        for name, layer in real_sizes.transformer().named_modules()
        if isinstance(layer, torch.nn.Linear)
    }
    assert layers_of(Z_IMAGE, Z_IMAGE_NAMING) == linear
    assert len([name for name in linear if name.startswith("layers.")]) == 240


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"diffusion_model.double_blocks.0.img_attn.proj.diff": (96, 96)}, "this LoRA is for FLUX.2"),
        ({"transformer.transformer_blocks.0.attn.to_q.diff": (96, 96)}, "this LoRA is for FLUX"),
        ({"diffusion_model.layers.7.attention.to_q.diff": (96, 96)}, r"8 main, 0 noise-refining and 0 context"),
        ({"diffusion_model.layers.0.attention.to_q.diff": (3840, 3840)}, "hidden size 3840, the base has 96"),
        ({"diffusion_model.context_refiner.0.adaLN_modulation.0.diff": (384, 96)}, "none of its layers is one of"),
    ],
)
def test_what_is_for_another_base_is_refused_by_name(
    read: Callable[[Tensors], Adapter], tensors: dict[str, tuple[int, int]], message: str
) -> None:
    with pytest.raises(AdapterError, match=message):
        read({key: torch.ones(shape) for key, shape in tensors.items()})


def test_a_lora_of_z_image_is_refused_by_other_families_by_its_name() -> None:
    lora = read_lora(str(ZIMAGE / "adapters" / "zimage_lora_bf16.safetensors"))
    with pytest.raises(AdapterError, match="this LoRA is for Z-Image"):
        judge(lora, None, FLUX2_NAMING)


def test_a_training_adapter_has_to_be_a_lora_of_the_base(make_request: Callable[..., Request]) -> None:
    request: Any = make_request(family="zimage", dtype="bfloat16")
    with pytest.raises(AdapterError, match=r"zimage_lora_bf16.safetensors: this LoRA is for another base"):
        zimage.load(zimage_checkpoint("turbo", "zimage_lora_bf16"), request.base, CPU)
    with pytest.raises(AdapterError, match="expected a LoRA with the trainer's names as training adapter"):
        zimage.load(zimage_checkpoint("zimage", "zimage_lokr_full_bf16"), request.base, CPU)


def test_anime_z_has_the_alpha_of_a_layer_under_another_name(read, base):
    tensors = {}
    for name, (down, up) in pairs().items():
        old = name.replace("attention.to_q", "attention.to.q").replace("attention.to_k", "attention.to.k")
        old = old.replace("attention.to_v", "attention.to.v")
        tensors |= {f"{old}.lora.down.weight": down, f"{old}.lora.up.weight": up, f"{name}.alpha": torch.tensor(2.0)}
    expected = read(written("diffusion_model.{}.lora_?.weight", alpha=2.0))
    found = read(tensors)
    assert {layer: own[0].scale(torch.float32) for layer, own in found.deltas.items()} == {
        layer: own[0].scale(torch.float32) for layer, own in expected.deltas.items()
    }
    assert found.deltas.keys() == expected.deltas.keys()
