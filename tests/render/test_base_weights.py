"""Loading strictly from both layouts, and reading weights again as the file has them."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import Flux2Transformer2DModel
from safetensors.torch import load_file, save_file

from darkroom.checkpoint import DIFFUSERS, SINGLE_FILE, Checkpoint, Component
from darkroom.errors import CheckpointError
from darkroom.render.base_model import Base
from darkroom.render.families import flux2
from darkroom.render.families.flux2_layout import transformer_config, vae_config
from darkroom.request import Request

CPU = torch.device("cpu")
MakeRequest = Callable[..., Request]
QKV = "transformer_blocks.0.attn.to_k.weight"


def _equal(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_both_layouts_give_the_same_weights(
    klein: Checkpoint, klein_folder: Checkpoint, make_request: MakeRequest, dtype: str
) -> None:
    single, folder = (flux2.load(checkpoint, make_request(dtype=dtype), CPU) for checkpoint in (klein, klein_folder))
    assert _equal(single.transformer, folder.transformer)
    assert _equal(single.vae, folder.vae)
    assert single.adapter_shapes() == folder.adapter_shapes()


def test_sharded_folder(klein_folder: Checkpoint, make_request: MakeRequest, tmp_path: Path) -> None:
    transformer = Flux2Transformer2DModel.from_pretrained(klein_folder.transformer.path, dtype=torch.bfloat16)
    transformer.save_pretrained(tmp_path, max_shard_size="500KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    sharded = replace(klein_folder, transformer=Component(str(tmp_path), DIFFUSERS, ""))
    loaded = flux2.load(sharded, make_request(dtype="bfloat16", numerics="fast"), CPU)
    assert _equal(loaded.transformer, transformer)
    next(tmp_path.glob("*-00002-of-*.safetensors")).unlink()
    with pytest.raises(CheckpointError, match=r"00002-of-\d+\.safetensors: no such file"):
        flux2.load(sharded, make_request(), CPU)


def test_sizes_of_single_files_are_read_from_their_tensors(klein: Checkpoint, tmp_path: Path) -> None:
    shapes = {key: tuple(tensor.shape) for key, tensor in load_file(klein.transformer.path).items()}
    assert transformer_config(shapes, "x") == {
        "in_channels": 128,
        "out_channels": 128,
        "num_layers": 2,
        "num_single_layers": 3,
        "attention_head_dim": 32,
        "num_attention_heads": 3,
        "joint_attention_dim": 96,
        "timestep_guidance_channels": 256,
        "mlp_ratio": 3.0,
        "axes_dims_rope": (8, 8, 8, 8),
        "guidance_embeds": False,
    }
    shapes = {key: tuple(tensor.shape) for key, tensor in load_file(klein.vae.path).items()}
    config = vae_config(shapes, "x")
    assert config["block_out_channels"] == (32, 32, 64, 64)
    assert config["decoder_block_out_channels"] is None
    assert (config["layers_per_block"], config["latent_channels"]) == (1, 32)
    small = {**shapes, "decoder.up.0.block.0.conv1.weight": (24, 32, 3, 3)}
    assert vae_config(small, "x")["decoder_block_out_channels"] == (24, 32, 64, 64)


def test_reads_are_fresh_memory(base: Base) -> None:
    first = base.weights.read(QKV, torch.bfloat16, CPU)
    assert torch.equal(first, base.transformer.get_parameter(QKV))
    first.zero_()
    again = base.weights.read(QKV, torch.bfloat16, CPU)
    assert again.abs().sum() > 0
    assert torch.equal(again, base.transformer.get_parameter(QKV))
    assert again.is_contiguous()


def _changed(klein: Checkpoint, tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Checkpoint:
    tensors = load_file(klein.transformer.path)
    change(tensors)
    save_file(tensors, tmp_path / "changed.safetensors")
    return replace(klein, transformer=Component(str(tmp_path / "changed.safetensors"), SINGLE_FILE, ""))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda tensors: tensors.pop("single_blocks.1.linear2.weight"),
            r"changed.safetensors: lacks: single_transformer_blocks.1.attn.to_out.weight; is this the right model",
        ),
        (
            lambda tensors: tensors.update({"single_blocks.1.linear2.scale_weight": torch.ones(1)}),
            r"changed.safetensors: has tensors without a place: single_blocks.1.linear2.scale_weight",
        ),
        (
            lambda tensors: tensors.update({"txt_in.weight": torch.ones(95, 96)}),
            r"another shape: txt_in.weight \(expected \[96, 96\] for context_embedder.weight, got \[95, 96\]\)",
        ),
        (
            lambda tensors: tensors.update({"double_blocks.0.img_attn.qkv.weight": torch.ones(289, 96)}),
            r"shape: double_blocks.0.img_attn.qkv.weight \(expected \[96, 96\] for .*to_q.weight, got \[289, 96",
        ),
        (lambda tensors: tensors.pop("img_in.weight"), "lacks img_in.weight: expected a FLUX.2 file in BFL naming"),
        (
            lambda tensors: tensors.update(
                {
                    f"guidance_in.{layer}.weight": torch.ones(96, n)
                    for layer, n in (("in_layer", 256), ("out_layer", 96))
                }
            ),
            "has a guidance embedder, so guidance: cfg is not for it",
        ),
    ],
)
def test_a_single_file_that_does_not_fit(
    klein: Checkpoint,
    make_request: MakeRequest,
    tmp_path: Path,
    change: Callable[[dict[str, torch.Tensor]], object],
    message: str,
) -> None:
    with pytest.raises(CheckpointError, match=message):
        flux2.load(_changed(klein, tmp_path, change), make_request(), CPU)


def test_a_truncated_file(klein: Checkpoint, make_request: MakeRequest, tmp_path: Path) -> None:
    checkpoint = _changed(klein, tmp_path, lambda tensors: None)
    path = Path(checkpoint.transformer.path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"changed.safetensors: truncated: expected"):
        flux2.load(checkpoint, make_request(), CPU)


def test_a_file_replaced_while_in_use(klein: Checkpoint, make_request: MakeRequest, tmp_path: Path) -> None:
    base = flux2.load(_changed(klein, tmp_path, lambda tensors: None), make_request(), CPU)
    _changed(klein, tmp_path, lambda tensors: tensors.update({"img_in.weight": torch.ones(96, 128)}))
    with pytest.raises(CheckpointError, match="changed since the base model was loaded"):
        base.weights.read(QKV, torch.float32, CPU)


def test_a_folder_of_another_class(klein_folder: Checkpoint, make_request: MakeRequest) -> None:
    swapped = replace(klein_folder, transformer=klein_folder.vae)
    with pytest.raises(CheckpointError, match="expected Flux2Transformer2DModel, got AutoencoderKLFlux2"):
        flux2.load(swapped, make_request(), CPU)


def test_a_text_encoder_with_too_few_layers(klein: Checkpoint, make_request: MakeRequest, tmp_path: Path) -> None:
    shutil.copytree(klein.text_encoder.path, tmp_path / "qwen3")
    config = json.loads((tmp_path / "qwen3" / "config.json").read_text())
    config |= {"num_hidden_layers": 20, "layer_types": config["layer_types"][:20]}
    (tmp_path / "qwen3" / "config.json").write_text(json.dumps(config))
    checkpoint = replace(klein, text_encoder=Component(str(tmp_path / "qwen3"), DIFFUSERS, ""))
    with pytest.raises(CheckpointError, match=r"qwen3: \d+ weights are missing, unknown or of another shape"):
        flux2.load_text_encoder(checkpoint, make_request(), CPU)


def test_a_missing_text_encoder(klein: Checkpoint, make_request: MakeRequest, tmp_path: Path) -> None:
    checkpoint = replace(klein, text_encoder=Component(str(tmp_path / "gone"), DIFFUSERS, ""))
    with pytest.raises(CheckpointError, match="gone: cannot be loaded as a Qwen3 text encoder"):
        flux2.load_text_encoder(checkpoint, make_request(), CPU)
