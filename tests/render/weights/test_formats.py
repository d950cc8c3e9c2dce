"""The same tiny klein in every format that people have it in, read into the same weights; and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from diffusers.loaders.single_file_utils import convert_flux2_transformer_checkpoint_to_diffusers
from safetensors.torch import load_file, save_file
from tests.render import quanto

from darkroom.checkpoint import GGUF, SINGLE_FILE, Checkpoint, Component
from darkroom.errors import CheckpointError
from darkroom.render.families.flux2.build import (
    build_transformer,
    build_vae,
    check_transformer,
    check_vae,
)
from darkroom.render.families.flux2.transformer_layout import has_guidance_embedder, text_features
from darkroom.render.weights.gguf_file import gguf_tensors
from darkroom.render.weights.quantization import quantizer

CPU = torch.device("cpu")
E4M3 = torch.float8_e4m3fn
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="session")
def stored(klein: Checkpoint) -> Tensors:
    """The transformer's tensors in BFL naming, bfloat16."""
    return load_file(klein["transformer"].path)


@pytest.fixture(scope="session")
def stored_vae(klein: Checkpoint) -> Tensors:
    return load_file(klein["vae"].path)


def single(path: Path, tensors: Tensors, metadata: dict[str, str] | None = None) -> Component:
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path, metadata)
    return Component(str(path), SINGLE_FILE, digest="")


def loaded(component: Component, dtype: torch.dtype = torch.bfloat16) -> Tensors:
    transformer, weights = build_transformer(component)
    weights.fill(transformer, dtype, CPU)
    return dict(transformer.state_dict())


def in_diffusers(tensors: Tensors) -> Tensors:
    return dict(convert_flux2_transformer_checkpoint_to_diffusers(dict(tensors)))


def assert_same(ours: Tensors, theirs: Tensors, dtype: torch.dtype = torch.bfloat16) -> None:
    assert ours.keys() == theirs.keys()
    assert [key for key in ours if not torch.equal(ours[key], theirs[key].to(dtype))] == []


def linear_layers(tensors: Tensors) -> list[str]:
    return [key.removesuffix(".weight") for key in tensors if "_blocks." in key and key.endswith(".weight")]


def quantised(tensors: Tensors) -> tuple[Tensors, dict[str, torch.Tensor], Tensors]:
    """The tensors with float8 for the blocks' linear layers, the scales by layer, and what the values then are."""
    stored, scales, values = dict(tensors), {}, dict(tensors)
    for layer in linear_layers(tensors):
        weight = tensors[f"{layer}.weight"].float()
        scales[layer] = weight.abs().max() / 448
        stored[f"{layer}.weight"] = (weight / scales[layer]).to(E4M3)
        values[f"{layer}.weight"] = stored[f"{layer}.weight"].float() * scales[layer]
    return stored, scales, values


# ComfyUI's single files


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_scaled_fp8_named_in_the_header(tmp_path: Path, stored: Tensors, dtype: torch.dtype) -> None:
    """As black-forest-labs publishes flux-2-klein-4b-fp8.safetensors."""
    tensors, scales, values = quantised(stored)
    for layer, scale in scales.items():
        tensors |= {f"{layer}.weight_scale": scale, f"{layer}.input_scale": torch.tensor(0.01)}
    layers = {layer: {"format": "float8_e4m3fn"} for layer in scales}
    metadata = {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": layers})}
    component = single(tmp_path / "fp8.safetensors", tensors, metadata)
    assert_same(loaded(component, dtype), in_diffusers(values), dtype)


def test_scaled_fp8_named_beside_each_layer(tmp_path: Path, stored: Tensors) -> None:
    """As ComfyUI saves, a part of the layers left in bfloat16: flux2_dev_fp8mixed.safetensors."""
    tensors, scales, values = quantised(stored)
    kept = "double_blocks.0.img_attn.proj"
    tensors[f"{kept}.weight"] = values[f"{kept}.weight"] = stored[f"{kept}.weight"]
    del scales[kept]
    named = torch.tensor(list(b'{"format": "float8_e4m3fn"}'), dtype=torch.uint8)
    for layer, scale in scales.items():
        tensors |= {f"{layer}.weight_scale": scale, f"{layer}.comfy_quant": named.clone()}
    assert_same(loaded(single(tmp_path / "mixed.safetensors", tensors)), in_diffusers(values))


def test_scaled_fp8_of_older_files(tmp_path: Path, stored: Tensors) -> None:
    tensors, scales, values = quantised(stored)
    for layer, scale in scales.items():
        tensors |= {f"{layer}.scale_weight": scale.reshape(1), f"{layer}.scale_input": torch.ones(1)}
    tensors["scaled_fp8"] = torch.zeros(2, dtype=E4M3)
    assert_same(loaded(single(tmp_path / "old.safetensors", tensors)), in_diffusers(values))


@pytest.mark.parametrize("dtype", [E4M3, torch.float8_e5m2, torch.float16, torch.float32])
def test_a_file_in_another_dtype(tmp_path: Path, stored: Tensors, dtype: torch.dtype) -> None:
    tensors = {key: tensor.to(dtype) for key, tensor in stored.items()}
    values = {key: tensor.float() for key, tensor in tensors.items()}
    assert_same(loaded(single(tmp_path / "x.safetensors", tensors)), in_diffusers(values))


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_number_is_a_scale_in_any_shape(tmp_path: Path, stored: Tensors, shape: tuple[int, ...]) -> None:
    tensors, scales, values = quantised(stored)
    tensors |= {f"{layer}.weight_scale": scale.reshape(shape) for layer, scale in scales.items()}
    assert_same(loaded(single(tmp_path / "x.safetensors", tensors)), in_diffusers(values))


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_scale_a_row(tmp_path: Path, stored: Tensors, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    """As compressed-tensors writes; of a fused layer, whose rows are of several parameters, too."""
    tensors, values = dict(stored), dict(stored)
    for layer in linear_layers(stored):
        weight = stored[f"{layer}.weight"].float()
        scale = weight.abs().amax(1, keepdim=True) / 448
        tensors[f"{layer}.weight"] = (weight / scale).to(E4M3)
        tensors[f"{layer}.weight_scale"] = scale.reshape(shape)
        values[f"{layer}.weight"] = tensors[f"{layer}.weight"].float() * scale
    assert "double_blocks.0.img_attn.qkv.weight_scale" in tensors
    assert_same(loaded(single(tmp_path / "x.safetensors", tensors), dtype), in_diffusers(values), dtype)


@pytest.mark.parametrize("prefix", ["model.diffusion_model.", "diffusion_model.", "transformer.", "model.", "net."])
def test_a_prefix_of_every_key(tmp_path: Path, stored: Tensors, prefix: str) -> None:
    tensors, scales, values = quantised(stored)
    tensors |= {f"{layer}.scale_weight": scale for layer, scale in scales.items()}
    tensors = {f"{prefix}{key}": tensor for key, tensor in (tensors | {"scaled_fp8": torch.zeros(0)}).items()}
    component = single(tmp_path / "x.safetensors", tensors)
    assert_same(loaded(component), in_diffusers(values))
    assert text_features(component) == 96


@pytest.mark.parametrize("prefix", ["", "transformer.", "model.diffusion_model."])
def test_diffusers_naming_in_a_single_file(tmp_path: Path, stored: Tensors, prefix: str) -> None:
    tensors = {f"{prefix}{key}": tensor for key, tensor in in_diffusers(stored).items()}
    component = single(tmp_path / "x.safetensors", tensors)
    assert_same(loaded(component), in_diffusers(stored))
    assert text_features(component) == 96
    assert has_guidance_embedder(component) is False
    transformer, _ = build_transformer(component)
    assert transformer.config["num_single_layers"] == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.update({"x.input_scale": torch.ones(())}), "has tensors without a place: x.input_scale"),
        (lambda t: t.update({"x.weight_scale": torch.ones(())}), "has tensors without a place: x.weight_scale"),
        (
            lambda t: t.update({"single_blocks.0.linear2.weight_scale": torch.ones(96, 3)}),
            r"single_blocks.0.linear2.weight_scale: expected one number, or one for each of 96 rows, got shape "
            r"\[96, 3\]; scales of blocks are not read: use the file with one scale a weight, or the bfloat16 file",
        ),
        (
            lambda t: t.update({"single_blocks.0.linear2.weight": torch.ones(96, 384, dtype=torch.int8)}),
            "single_blocks.0.linear2.weight: is stored as I8, which cannot be read; use the file with float8 or nvfp4 "
            "weights, or the bfloat16 file",
        ),
        (
            lambda t: t.update(
                {
                    "single_blocks.0.linear2.weight": torch.ones(96, 384).to(E4M3),
                    "single_blocks.0.linear2.weight_scale": torch.ones(128, 12, dtype=torch.uint8),
                }
            ),
            "quantised as mxfp8, which cannot be read; use the file with float8 or nvfp4 weights, or the bfloat16 file",
        ),
        (
            lambda t: t.update({"img_in.weight.quant_state.bitsandbytes__nf4": torch.ones(9, dtype=torch.uint8)}),
            "quantised as bitsandbytes' nf4 or fp4, which cannot be read",
        ),
    ],
)
def test_companions_that_do_not_fit(
    tmp_path: Path, stored: Tensors, change: Callable[[Tensors], None], said: str
) -> None:
    tensors = dict(stored)
    change(tensors)
    with pytest.raises(CheckpointError, match=said):
        build_transformer(single(tmp_path / "x.safetensors", tensors))


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (b'{"format": "mxfp8"}', "quantised as mxfp8, which cannot be read; use the file with float8 or nvfp4 weights"),
        (b'{"format": "int8_tensorwise", "convrot": true}', "as int8_tensorwise with convrot, which cannot be read"),
        (b'{"format": "nvfp4", "convrot": true}', "quantised as nvfp4 with convrot, which cannot be read"),
        (b'{"format": "nvfp4"}', "lacks single_blocks.0.linear2.weight_scale; is its download complete"),
        (b'{"format": "float8_e4m3fn"}', "lacks single_blocks.0.linear2.weight_scale; is its download complete"),
        (b"?", "its quantised layers cannot be understood"),
        (b"[]", "its quantised layers cannot be understood"),
        (b"[" * 100_000, "its quantised layers cannot be understood"),
    ],
)
def test_other_quantisations_are_refused(tmp_path: Path, stored: Tensors, named: bytes, said: str) -> None:
    marked = {"single_blocks.0.linear2.comfy_quant": torch.tensor(list(named), dtype=torch.uint8)}
    with pytest.raises(CheckpointError, match=said):
        build_transformer(single(tmp_path / "x.safetensors", stored | marked))


# GGUF


def gguf_file(path: Path, tensors: Tensors, kind: str, architecture: str = "flux", prefix: str = "") -> Component:
    """As ComfyUI-GGUF's converter writes: vectors in float32, matrices in `kind`."""
    writer = gguf.GGUFWriter(path, architecture)
    for key, tensor in tensors.items():
        quantisation = gguf.GGMLQuantizationType[kind if tensor.ndim > 1 else "F32"]
        data = gguf.quants.quantize(tensor.float().numpy(), quantisation)
        writer.add_tensor(f"{prefix}{key}", data, raw_dtype=quantisation)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Component(str(path), GGUF, digest="")


@pytest.mark.parametrize(("kind", "error"), [("F32", 0), ("BF16", 0), ("F16", 1e-4), ("Q8_0", 0.01), ("Q4_0", 0.2)])
def test_gguf(tmp_path: Path, stored: Tensors, kind: str, error: float) -> None:
    component = gguf_file(tmp_path / "klein.gguf", stored, kind)
    ours, theirs = loaded(component, torch.float32), in_diffusers(stored)
    assert ours.keys() == theirs.keys()
    for key, weight in ours.items():
        assert torch.dist(weight, theirs[key].float()) <= error * theirs[key].float().norm(), key
    assert text_features(component) == 96


def test_gguf_with_a_prefix(tmp_path: Path, stored: Tensors) -> None:
    component = gguf_file(tmp_path / "klein.gguf", stored, "BF16", prefix="model.diffusion_model.")
    assert_same(loaded(component), in_diffusers(stored))


@pytest.mark.parametrize("kind", ["Q4_K", "Q5_K", "Q6_K", "Q8_0"])
def test_rows_of_a_gguf_tensor(tmp_path: Path, kind: str) -> None:
    quantisation = gguf.GGMLQuantizationType[kind]
    block, size = gguf.GGML_QUANT_SIZES[quantisation]
    data = np.random.default_rng(0).integers(0, 60, (6, 512 // block * size), dtype=np.uint8)
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "flux")
    writer.add_tensor("before", np.ones(3, np.float32))
    writer.add_tensor("w", data, raw_dtype=quantisation)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    tensor = gguf_tensors(tmp_path / "x.gguf")["w"]
    assert tensor.shape == (6, 512)
    assert torch.equal(tensor.read(slice(2, 4)), torch.from_numpy(gguf.dequantize(data[2:4], quantisation)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04\0\0\x08\x08", "not a .gguf file: it is a PyTorch pickle, which can run code"),
        (b"\x10\0\0\0\0\0\0\0{}", "not a .gguf file: it does not start with GGUF"),
        (b"GGUF\x03\0\0\0", "truncated or damaged, copy it again"),
    ],
)
def test_files_that_are_no_gguf(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(CheckpointError, match=said):
        gguf_tensors(tmp_path / "x.gguf")


def test_a_truncated_gguf(tmp_path: Path, stored: Tensors) -> None:
    path = Path(gguf_file(tmp_path / "x.gguf", stored, "Q8_0").path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=r"x\.gguf: truncated or damaged, copy it again"):
        gguf_tensors(path)


def test_an_unknown_type_in_a_gguf(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "flux")
    writer.add_tensor("w", np.ones((2, 292), np.uint8), raw_dtype=gguf.GGMLQuantizationType.Q8_K)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(CheckpointError, match="holds tensors of type Q8_K, which cannot be read; use Q8_0"):
        gguf_tensors(tmp_path / "x.gguf")


def test_a_gguf_of_something_else(tmp_path: Path) -> None:
    component = gguf_file(tmp_path / "x.gguf", {"blk.0.attn_q.weight": torch.ones(64, 2560)}, "F32", "qwen3")
    assert "is a text encoder (Qwen3-4B, hidden size 2560); FLUX.2's transformer" in _said(check_transformer(component))
    component = gguf_file(tmp_path / "y.gguf", {"patch_embedding.weight": torch.ones(64, 64)}, "F32", "wan")
    assert "is a GGUF file of architecture wan; FLUX.2's transformer" in _said(check_transformer(component))


# VAEs


def vae_of(component: Component) -> torch.nn.Module:
    vae, weights = build_vae(component)
    weights.fill(vae, torch.float32, CPU)
    return vae


def test_a_vae_in_a_checkpoint_of_its_own(tmp_path: Path, klein: Checkpoint, stored_vae: Tensors) -> None:
    tensors = {f"first_stage_model.{key}": tensor for key, tensor in stored_vae.items()}
    ours, theirs = vae_of(single(tmp_path / "x.safetensors", tensors)), vae_of(klein["vae"])
    assert_same(dict(ours.state_dict()), dict(theirs.state_dict()), torch.float32)


def test_a_vae_in_each_naming(tmp_path: Path, klein: Checkpoint, stored_vae: Tensors) -> None:
    latents = torch.randn(1, 32, 4, 4, generator=torch.Generator().manual_seed(0))
    vae = vae_of(klein["vae"])
    outside = {
        key.replace("encoder.quant_", "quant_").replace("decoder.post_", "post_"): tensor
        for key, tensor in stored_vae.items()
    }
    assert "quant_conv.weight" in outside
    for name, tensors in {"comfy": outside, "diffusers": vae.state_dict()}.items():
        other = vae_of(single(tmp_path / f"{name}.safetensors", tensors))
        assert torch.equal(other.decode(latents).sample, vae.decode(latents).sample)


def test_a_vae_with_the_small_decoder(tmp_path: Path, stored_vae: Tensors) -> None:
    """As black-forest-labs/FLUX.2-small-decoder: the decoder's channels are not the encoder's."""
    from diffusers import AutoencoderKLFlux2

    torch.manual_seed(0)
    vae = AutoencoderKLFlux2(
        block_out_channels=(32, 32, 64, 64),
        decoder_block_out_channels=(32, 64, 96, 96),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
    ).eval()
    ours = vae_of(single(tmp_path / "small.safetensors", _in_bfl_naming(vae.state_dict())))
    assert ours.config.decoder_block_out_channels == (32, 64, 96, 96)
    latents = torch.randn(1, 32, 4, 4)
    with torch.no_grad():
        picture = ours.decode(latents).sample
        assert picture.shape == (1, 3, 32, 32)
        assert torch.equal(picture, vae.decode(latents).sample)


def _in_bfl_naming(tensors: Tensors) -> Tensors:
    """diffusers' naming back to BFL's, by the plainest of rules."""
    renamed = {}
    for key, tensor in tensors.items():
        for old, new in (
            ("down_blocks", "down"),
            ("mid_block.resnets.0", "mid.block_1"),
            ("mid_block.resnets.1", "mid.block_2"),
            ("mid_block.attentions.0.group_norm", "mid.attn_1.norm"),
            ("mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out"),
            ("mid_block.attentions.0.to_", "mid.attn_1."),
            ("resnets", "block"),
            ("downsamplers.0", "downsample"),
            ("upsamplers.0", "upsample"),
            ("conv_norm_out", "norm_out"),
            ("conv_shortcut", "nin_shortcut"),
            *((f"up_blocks.{level}", f"up.{3 - level}") for level in range(4)),
        ):
            key = key.replace(old, new)
        if key.startswith(("quant", "post_quant")):
            key = f"{'encoder' if key.startswith('quant') else 'decoder'}.{key}"
        is_convolved = ".attn_1." in key and tensor.ndim == 2
        renamed[key] = tensor[:, :, None, None] if is_convolved else tensor
    return renamed


# files of something else


def _said(problems: list[CheckpointError]) -> str:
    (problem,) = problems
    return str(problem)


NEEDED = (
    "FLUX.2's transformer is needed: "
    "flux-2-klein-base-4b.safetensors, flux-2-klein-base-9b.safetensors or flux2-dev.safetensors"
)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"double_blocks.0.img_mod.lin.weight": (8, 8)}, "is a transformer of FLUX.1 or Flex"),
        ({"single_transformer_blocks.0.norm.linear.weight": (8, 8)}, "is a transformer of FLUX.1 or Flex"),
        ({"model.layers.0.self_attn.q_proj.weight": (8, 4096)}, "is a text encoder (Qwen3-8B, hidden size 4096)"),
        (
            {"language_model.model.layers.0.self_attn.q_proj.weight": (8, 5120)},
            "is a text encoder (Mistral-Small-3.1, hidden size 5120)",
        ),
        ({"encoder.block.0.layer.0.SelfAttention.q.weight": (8, 8)}, "is T5, a text encoder of FLUX.1"),
        ({"text_model.encoder.layers.0.mlp.fc1.weight": (8, 8)}, "is CLIP, a text encoder of FLUX.1"),
        ({"decoder.conv_in.weight": (8, 32, 3, 3), "bn.running_mean": (8,)}, "is FLUX.2's VAE"),
        ({"diffusion_model.img_in.lora_A.weight": (4, 8)}, "is a LoRA or LoKr, which belongs into conf/lora"),
        (
            {"transformer.img_in.weight": (8, 8), "text_encoder.shared.weight": (8, 8)},
            "is a checkpoint with transformer, VAE or text encoder in one file",
        ),
        (
            {"model.diffusion_model.img_in.weight": (8, 8), "first_stage_model.decoder.conv_in.weight": (8, 8, 3, 3)},
            "is a checkpoint with transformer, VAE or text encoder in one file",
        ),
    ],
)
def test_what_is_no_transformer(tmp_path: Path, keys: dict[str, tuple[int, ...]], said: str) -> None:
    component = single(tmp_path / "x.safetensors", {key: torch.zeros(shape) for key, shape in keys.items()})
    assert _said(check_transformer(component)) == f"{component.path}: {said}; {NEEDED}"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"decoder.conv_in.weight": (8, 16, 3, 3)}, "is FLUX.1's VAE (16 latent channels, no bn statistics)"),
        ({"first_stage_model.decoder.conv_in.weight": (8, 4, 3, 3)}, "is the VAE of Stable Diffusion (4 latent"),
        ({"double_stream_modulation_img.lin.weight": (8, 8)}, "is FLUX.2's transformer"),
    ],
)
def test_what_is_no_vae(tmp_path: Path, keys: dict[str, tuple[int, ...]], said: str) -> None:
    component = single(tmp_path / "x.safetensors", {key: torch.zeros(shape) for key, shape in keys.items()})
    problem = _said(check_vae(component))
    assert said in problem
    assert "FLUX.2's VAE is needed: ai-toolkit/flux2_vae ae.safetensors or flux2-vae.safetensors" in problem


def test_what_is_right(klein: Checkpoint, klein_folder: Checkpoint) -> None:
    for checkpoint in (klein, klein_folder):
        assert check_transformer(checkpoint["transformer"]) == []
        assert check_vae(checkpoint["vae"]) == []
        assert text_features(checkpoint["transformer"]) == 96
        assert has_guidance_embedder(checkpoint["transformer"]) is False


# filling


def test_a_weight_that_is_no_finite_number(tmp_path: Path, stored: Tensors) -> None:
    name = "single_blocks.1.linear2.weight"
    spoiled = stored[name].clone()
    spoiled[3, 5] = float("nan")
    component = single(tmp_path / "nan.safetensors", stored | {name: spoiled})
    with pytest.raises(CheckpointError, match=rf"nan.safetensors: {name}: has NaN or infinity in it"):
        loaded(component)
    tensors, scales, _ = quantised(stored)
    tensors |= {f"{layer}.weight_scale": scale for layer, scale in scales.items()}
    tensors["single_blocks.1.linear2.weight_scale"] = torch.tensor(float("inf"))
    with pytest.raises(CheckpointError, match=rf"inf.safetensors: {name}: has NaN or infinity in it"):
        loaded(single(tmp_path / "inf.safetensors", tensors))


def test_a_matrix_of_zeros_and_a_decoder_alone(tmp_path: Path, stored: Tensors, stored_vae: Tensors) -> None:
    name = "double_blocks.1.img_mlp.0.weight"
    hollow = single(tmp_path / "hollow.safetensors", {**stored, name: torch.zeros_like(stored[name])})
    with pytest.raises(CheckpointError, match=rf"hollow.safetensors: {name}: is all zeros, as where a download was"):
        loaded(hollow)
    decoder = {key: value for key, value in stored_vae.items() if not key.startswith("encoder.")}
    (fault,) = check_vae(single(tmp_path / "decoder.safetensors", decoder))
    assert "decoder.safetensors: holds no encoder: expected a whole VAE" in str(fault)


def test_a_stray_key_is_named_and_hides_no_prefix(tmp_path: Path, stored: Tensors) -> None:
    tensors = {f"model.diffusion_model.{key}": value for key, value in stored.items()}
    (fault,) = check_transformer(single(tmp_path / "x.safetensors", {**tensors, "decay": torch.zeros(1)}))
    assert "x.safetensors: has tensors without a place: decay; is this the right model" in str(fault)


def test_sizes_that_no_vae_has(tmp_path: Path, stored_vae: Tensors) -> None:
    narrow = {
        key: value[:16] if key == "encoder.down.0.block.0.conv1.weight" else value for key, value in stored_vae.items()
    }
    (fault,) = check_vae(single(tmp_path / "narrow.safetensors", narrow))
    assert "narrow.safetensors: no AutoencoderKLFlux2 has sizes such as these (num_channels" in str(fault)


def test_quantised_layer_by_layer_as_afterwards(klein: Checkpoint) -> None:
    one_by_one, weights = build_transformer(klein["transformer"])
    quantize = quantizer(one_by_one, "qfloat8")
    unread: list[int] = []

    def finish(layer: torch.nn.Module) -> None:
        quantize(layer)
        unread.append(sum(parameter.is_meta for parameter in one_by_one.parameters()))

    weights.fill(one_by_one, torch.bfloat16, CPU, finish=finish)
    assert unread == list(range(len(unread) - 1, -1, -1))
    at_once, weights = build_transformer(klein["transformer"])
    weights.fill(at_once, torch.bfloat16, CPU)
    quanto.quantize(at_once, "qfloat8")
    ours, theirs = ({key: each + 0 for key, each in m.named_parameters()} for m in (one_by_one, at_once))
    assert_same(ours, theirs)
    assert one_by_one.transformer_blocks[0].attn.to_q.weight.rounded.dtype == torch.float8_e4m3fn
