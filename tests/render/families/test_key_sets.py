"""The real files at full size, without their weights: each tensor finds its place in diffusers' modules."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel
from diffusers.loaders.single_file_utils import (
    convert_flux2_transformer_checkpoint_to_diffusers,
    convert_ldm_vae_checkpoint,
)
from tests.places import DATA

from darkroom.base_files.stored_weights import stored_weights
from darkroom.checkpoint import SINGLE_FILE, Component
from darkroom.lora_files.flux2 import FLUX2_NAMING
from darkroom.lora_files.layers import layers_in, layers_of
from darkroom.lora_files.naming import KnownBase
from darkroom.render.families.flux2.build import build_transformer, build_vae
from darkroom.render.families.flux2.transformer_layout import has_guidance_embedder, text_features

KEY_SETS = DATA / "key_sets"
Shapes = dict[str, tuple[int, ...]]
Tensors = dict[str, tuple[str, tuple[int, ...]]]  # dtype and shape by key
BYTES = {"I64": 8, "F32": 4, "BF16": 2, "F8_E4M3": 1, "U8": 1}

# model → hidden size, double blocks, single blocks, features of a text token, guidance embedder
TRANSFORMERS = {
    "klein-4B": (3072, 5, 20, 7680, False),
    "klein-9B": (4096, 8, 24, 12288, False),
    "dev": (6144, 8, 48, 15360, True),
}
DECODERS = {"full": (128, 256, 512), "small": (96, 192, 384)}


def _lines(name: str) -> Iterator[list[str]]:
    lines = (KEY_SETS / name).read_text(encoding="utf-8").splitlines()
    yield from (line.split() for line in lines if not line.startswith("#"))


def transformer_shapes(model: str) -> Shapes:
    hidden, double, single, features, is_embedded = TRANSFORMERS[model]
    units = {"h": hidden, "c": features, "d": 128, "": 1}
    shapes: Shapes = {}
    for key, *sizes in _lines("transformer.txt"):
        if key.startswith("?") and not is_embedded:
            continue
        shape = []
        for size in sizes:
            factor, unit = re.fullmatch(r"(\d*)([hcd]?)", size).groups()
            shape.append(int(factor or 1) * units[unit])
        count = {"double": double, "single": single}
        for block in ("double", "single"):
            names = [key.lstrip("?").replace(f"{{{block}}}", str(i)) for i in range(count[block])]
            if f"{{{block}}}" in key:
                shapes |= dict.fromkeys(names, tuple(shape))
        if "{" not in key:
            shapes[key.lstrip("?")] = tuple(shape)
    return shapes


@pytest.mark.parametrize(("model", "known"), list(zip(TRANSFORMERS, FLUX2_NAMING.bases, strict=True)))
def test_a_known_base_has_the_layers_of_the_real_file(model: str, known: KnownBase) -> None:
    shapes = transformer_shapes(model)
    linear = {key.removesuffix(".weight"): shape for key, shape in shapes.items() if key.endswith(".weight")}
    assert known.name == f"FLUX.2 {model}"
    assert layers_of(known, FLUX2_NAMING) == layers_in(shapes, FLUX2_NAMING) == linear


def _conv(name: str, rows: int, columns: int, side: int) -> Shapes:
    return {f"{name}.weight": (rows, columns, side, side), f"{name}.bias": (rows,)}


def _norm(name: str, channels: int) -> Shapes:
    return {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}


def _resnet(name: str, inner: int, outer: int) -> Shapes:
    shapes = _norm(f"{name}.norm1", inner) | _conv(f"{name}.conv1", outer, inner, 3)
    shapes |= _norm(f"{name}.norm2", outer) | _conv(f"{name}.conv2", outer, outer, 3)
    return shapes if inner == outer else shapes | _conv(f"{name}.nin_shortcut", outer, inner, 1)


def _attention(name: str, channels: int) -> Shapes:
    shapes = _norm(f"{name}.norm", channels)
    for inside in ("q", "k", "v", "proj_out"):
        shapes |= _conv(f"{name}.{inside}", channels, channels, 1)
    return shapes


def vae_shapes(decoder: str) -> Shapes:
    units = dict(zip("abc", DECODERS[decoder], strict=True))
    kinds = {"conv": _conv, "norm": _norm, "resnet": _resnet, "attention": _attention}
    kinds |= {"stat": lambda name, channels: {name: (channels,)}, "count": lambda name: {name: ()}}
    shapes: Shapes = {}
    for name, kind, *sizes in _lines("vae.txt"):
        shapes |= kinds[kind](name, *(units.get(size) or int(size) for size in sizes))
    return shapes


def in_dtype(shapes: Shapes, dtype: str) -> Tensors:
    return {key: ("I64" if key.endswith("num_batches_tracked") else dtype, shape) for key, shape in shapes.items()}


def write_without_weights(path: Path, tensors: Tensors, metadata: dict[str, str] | None = None) -> Component:
    """A .safetensors file as big as the real one, of which the disk holds nothing but the header."""
    order = sorted(tensors, key=lambda key: (-BYTES[tensors[key][0]], key))
    header, end = {"__metadata__": metadata} if metadata else {}, 0
    for key in order:
        dtype, shape = tensors[key]
        start, end = end, end + BYTES[dtype] * math.prod(shape)
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with path.open("r+b") as file:
        file.truncate(8 + len(text) + end)
    return Component(str(path), SINGLE_FILE, digest="")


def on_meta(shapes: Shapes) -> dict[str, torch.Tensor]:
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def has_own_shapes(module: torch.nn.Module, tensors: dict[str, torch.Tensor]) -> bool:
    own = {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}
    return own == {key: tuple(tensor.shape) for key, tensor in tensors.items()}


# sizes in bytes as the hub lists them: black-forest-labs/FLUX.2-klein-base-4B, -klein-base-9B, -dev
@pytest.mark.parametrize(
    ("model", "size", "parameters"),
    [
        ("klein-4B", 7751105712, 3875544576),
        ("klein-9B", 18157185168, 9078581248),
        ("dev", 64446596128, 32223281152),
    ],
)
def test_a_transformer_at_full_size(tmp_path: Path, model: str, size: int, parameters: int) -> None:
    shapes = transformer_shapes(model)
    component = write_without_weights(tmp_path / "transformer.safetensors", in_dtype(shapes, "BF16"))
    assert Path(component.path).stat().st_size == size
    transformer, _ = build_transformer(component)
    assert isinstance(transformer, Flux2Transformer2DModel)
    assert sum(parameter.numel() for parameter in transformer.parameters()) == parameters
    assert has_own_shapes(transformer, convert_flux2_transformer_checkpoint_to_diffusers(on_meta(shapes)))
    hidden, double, single, features, is_embedded = TRANSFORMERS[model]
    assert text_features(component) == features
    assert has_guidance_embedder(component) is is_embedded
    assert transformer.inner_dim == hidden
    assert (
        transformer.config.items()
        >= {
            "num_layers": double,
            "num_single_layers": single,
            "joint_attention_dim": features,
            "attention_head_dim": 128,
            "axes_dims_rope": (32, 32, 32, 32),
            "mlp_ratio": 3.0,
        }.items()
    )


# black-forest-labs/FLUX.2-klein-4b-fp8 and FLUX.2-klein-9b-fp8
@pytest.mark.parametrize(("model", "size"), [("klein-4B", 4070624520), ("klein-9B", 9433061528)])
def test_a_scaled_fp8_transformer_at_full_size(tmp_path: Path, model: str, size: int) -> None:
    tensors = in_dtype(transformer_shapes(model), "BF16")
    layers = [key.removesuffix(".weight") for key in tensors if "blocks." in key and key.endswith(".weight")]
    for layer in layers:
        tensors[f"{layer}.weight"] = ("F8_E4M3", tensors[f"{layer}.weight"][1])
        tensors |= {f"{layer}.{scale}": ("F32", ()) for scale in ("weight_scale", "input_scale")}
    quantisation = {"format_version": "1.0", "layers": {layer: {"format": "float8_e4m3fn"} for layer in layers}}
    metadata = {"_quantization_metadata": json.dumps(quantisation)}
    component = write_without_weights(tmp_path / "fp8.safetensors", tensors, metadata)
    assert Path(component.path).stat().st_size == size
    transformer, _ = build_transformer(component)
    assert transformer.inner_dim == TRANSFORMERS[model][0]


# black-forest-labs/FLUX.2-dev-NVFP4: a file of 731 tensors, of which 144 are packed
def test_an_nvfp4_transformer_at_full_size(tmp_path: Path) -> None:
    shapes = transformer_shapes("dev")
    tensors = in_dtype(shapes, "BF16")
    layers = [key.removesuffix(".weight") for key in tensors if re.search(r"blocks\.\d+\..+(?<!norm)\.weight", key)]
    layers = [layer for layer in layers if ".txt_attn." not in layer]
    for layer in layers:
        rows, columns = shapes[f"{layer}.weight"]
        tensors[f"{layer}.weight"] = ("U8", (rows, columns // 2))
        tensors[f"{layer}.weight_scale"] = ("F8_E4M3", (rows, columns // 16))
        tensors |= {f"{layer}.{scale}": ("F32", ()) for scale in ("weight_scale_2", "input_scale")}
    assert (len(layers), len(tensors)) == (144, 731)
    named = {"format_version": "1.0", "layers": {layer: {"format": "nvfp4"} for layer in layers}}
    component = write_without_weights(
        tmp_path / "x.safetensors", tensors, {"_quantization_metadata": json.dumps(named)}
    )
    transformer, weights = build_transformer(component)
    assert transformer.inner_dim == 6144
    assert weights.shapes["single_transformer_blocks.47.attn.to_out.weight"] == (6144, 24576)
    stored = {key: weight.shape for key, weight in stored_weights(Path(component.path)).items()}
    assert layers_in(stored, FLUX2_NAMING) == layers_of(FLUX2_NAMING.bases[2], FLUX2_NAMING)


# ae.safetensors (ai-toolkit/flux2_vae, FLUX.2-dev); full_encoder_small_decoder.safetensors (FLUX.2-small-decoder)
@pytest.mark.parametrize(("decoder", "size"), [("full", 336211292), ("small", 249519092)])
def test_a_vae_at_full_size(tmp_path: Path, decoder: str, size: int) -> None:
    shapes = vae_shapes(decoder)
    component = write_without_weights(tmp_path / "ae.safetensors", in_dtype(shapes, "F32"))
    assert Path(component.path).stat().st_size == size
    vae, _ = build_vae(component)
    assert isinstance(vae, AutoencoderKLFlux2)
    narrow = {"full": None, "small": (96, 192, 384, 384)}[decoder]
    assert vae.config.decoder_block_out_channels == narrow
    outside = on_meta(
        {key.replace("encoder.quant", "quant").replace("decoder.post", "post"): shapes[key] for key in shapes}
    )
    converted = convert_ldm_vae_checkpoint(outside, vae.config)
    converted |= {key: tensor for key, tensor in outside.items() if key.startswith("bn.")}
    assert has_own_shapes(vae, converted)


def test_comfyuis_vae_at_full_size(tmp_path: Path) -> None:
    """flux2-vae.safetensors (Comfy-Org/flux2-dev): its size is that of diffusers' naming, and of no other."""
    with torch.device("meta"):
        own = AutoencoderKLFlux2().state_dict()
    shapes = {key: tuple(tensor.shape) for key, tensor in own.items()}
    component = write_without_weights(tmp_path / "x.safetensors", in_dtype(shapes, "F32"), {"format": "pt"})
    assert Path(component.path).stat().st_size == 336213556
    vae, _ = build_vae(component)
    assert vae.config.block_out_channels == (128, 256, 512, 512)
    assert vae.config.decoder_block_out_channels is None
