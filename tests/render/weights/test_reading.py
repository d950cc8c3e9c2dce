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
from darkroom.errors import CheckpointError, WeightFileError
from darkroom.render.families.flux2 import flux2
from darkroom.render.families.flux2.build import build_transformer, build_vae
from darkroom.render.weights.base import Base
from darkroom.request.request import Request

CPU = torch.device("cpu")
MakeRequest = Callable[..., Request]
QKV = "transformer_blocks.0.attn.to_k.weight"


def _with(checkpoint: Checkpoint, transformer: Component) -> Checkpoint:
    return replace(checkpoint, components={**checkpoint.components, "transformer": transformer})


def _equal(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_both_layouts_give_the_same_weights(
    klein: Checkpoint, klein_folder: Checkpoint, make_request: MakeRequest, dtype: str
) -> None:
    single, folder = (
        flux2.load(checkpoint, make_request(dtype=dtype).base, CPU) for checkpoint in (klein, klein_folder)
    )
    assert _equal(single.transformer, folder.transformer)
    assert _equal(single.vae, folder.vae)
    assert single.adapter_shapes() == folder.adapter_shapes()


def test_sharded_folder(klein_folder: Checkpoint, make_request: MakeRequest, tmp_path: Path) -> None:
    transformer = Flux2Transformer2DModel.from_pretrained(klein_folder["transformer"].path, dtype=torch.bfloat16)
    transformer.save_pretrained(tmp_path, max_shard_size="500KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    sharded = _with(klein_folder, Component(str(tmp_path), DIFFUSERS, ""))
    loaded = flux2.load(sharded, make_request(dtype="bfloat16", numerics="fast").base, CPU)
    assert _equal(loaded.transformer, transformer)
    next(tmp_path.glob("*-00002-of-*.safetensors")).unlink()
    with pytest.raises(WeightFileError, match=r"00002-of-\d+\.safetensors: no such file"):
        flux2.load(sharded, make_request().base, CPU)


def test_sizes_of_single_files_are_read_from_their_tensors(klein: Checkpoint) -> None:
    transformer, _ = build_transformer(klein["transformer"])
    assert (
        transformer.config.items()
        >= {
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
        }.items()
    )
    vae, _ = build_vae(klein["vae"])
    assert vae.config.block_out_channels == (32, 32, 64, 64)
    assert vae.config.decoder_block_out_channels is None
    assert (vae.config.layers_per_block, vae.config.latent_channels) == (1, 32)


def test_reads_are_fresh_memory(base: Base) -> None:
    first = base.weights.read(QKV, torch.bfloat16, CPU)
    assert torch.equal(first, base.transformer.get_parameter(QKV))
    first.zero_()
    again = base.weights.read(QKV, torch.bfloat16, CPU)
    assert again.abs().sum() > 0
    assert torch.equal(again, base.transformer.get_parameter(QKV))
    assert again.is_contiguous()


def _changed(klein: Checkpoint, tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Checkpoint:
    tensors = load_file(klein["transformer"].path)
    change(tensors)
    save_file(tensors, tmp_path / "changed.safetensors")
    return _with(klein, Component(str(tmp_path / "changed.safetensors"), SINGLE_FILE, ""))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda tensors: tensors.pop("single_blocks.1.linear2.weight"),
            r"changed.safetensors: lacks: single_transformer_blocks.1.attn.to_out.weight; is this the right model",
        ),
        (
            lambda tensors: tensors.update({"single_blocks.1.linear2.bias": torch.ones(1)}),
            r"changed.safetensors: has tensors without a place: single_blocks.1.linear2.bias",
        ),
        (
            lambda tensors: tensors.update({"txt_in.weight": torch.ones(95, 96)}),
            r"another shape: txt_in.weight \(expected \[96, 96\] for context_embedder.weight, got \[95, 96\]\)",
        ),
        (
            lambda tensors: tensors.update({"double_blocks.0.img_attn.qkv.weight": torch.ones(289, 96)}),
            r"shape: double_blocks.0.img_attn.qkv.weight \(expected \[96, 96\] for .*to_q.weight, got \[289, 96",
        ),
        (lambda tensors: tensors.pop("img_in.weight"), "lacks x_embedder.weight: expected a FLUX.2 transformer"),
    ],
)
def test_a_single_file_that_does_not_fit(
    klein: Checkpoint,
    tmp_path: Path,
    change: Callable[[dict[str, torch.Tensor]], object],
    message: str,
) -> None:
    with pytest.raises(CheckpointError, match=message):
        build_transformer(_changed(klein, tmp_path, change)["transformer"])


def test_a_truncated_file(klein: Checkpoint, make_request: MakeRequest, tmp_path: Path) -> None:
    checkpoint = _changed(klein, tmp_path, lambda tensors: None)
    path = Path(checkpoint["transformer"].path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightFileError, match=r"changed.safetensors: truncated: expected"):
        flux2.load(checkpoint, make_request().base, CPU)


def test_a_file_replaced_while_in_use(klein: Checkpoint, make_request: MakeRequest, tmp_path: Path) -> None:
    base = flux2.load(_changed(klein, tmp_path, lambda tensors: None), make_request().base, CPU)
    _changed(klein, tmp_path, lambda tensors: tensors.update({"img_in.weight": torch.ones(96, 128)}))
    with pytest.raises(CheckpointError, match="changed since the base model was loaded"):
        base.weights.read(QKV, torch.float32, CPU)


def test_a_folder_of_another_class_or_with_another_constant(klein_folder: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"vae: is FLUX.2's VAE; FLUX.2's transformer is needed"):
        build_transformer(klein_folder["vae"])
    config = Path(klein_folder["transformer"].path) / "config.json"
    written = json.loads(config.read_text())
    shutil.copytree(config.parent, tmp_path / "other")
    (tmp_path / "other" / "config.json").write_text(json.dumps({**written, "_class_name": "FluxTransformer2DModel"}))
    with pytest.raises(CheckpointError, match="expected Flux2Transformer2DModel, got FluxTransformer2DModel"):
        build_transformer(Component(str(tmp_path / "other"), DIFFUSERS, ""))
    (tmp_path / "other" / "config.json").write_text(json.dumps({**written, "rope_theta": 10000}))
    with pytest.raises(CheckpointError, match=r"config.json: rope_theta: expected 2000, got 10000: every FLUX.2 has"):
        build_transformer(Component(str(tmp_path / "other"), DIFFUSERS, ""))


def test_folders_without_an_answer(klein_folder: Checkpoint, tmp_path: Path) -> None:
    shutil.copytree(klein_folder["vae"].path, tmp_path / "twice")
    file = tmp_path / "twice" / "diffusion_pytorch_model.safetensors"
    shutil.copy(file, file.with_name("2.safetensors"))
    file.rename(file.with_name("1.safetensors"))
    index = {"weight_map": {"quant_conv.weight": "1.safetensors", "quant_conv.bias": "2.safetensors"}}
    file.with_name(f"{file.name}.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"2\.safetensors: .* is also in 1\.safetensors; every tensor belongs"):
        build_vae(Component(str(tmp_path / "twice"), DIFFUSERS, ""))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"empty: expected a folder with \.safetensors files, found none"):
        build_vae(Component(str(tmp_path / "empty"), DIFFUSERS, ""))
