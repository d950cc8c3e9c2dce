"""nvfp4 weights: values worked out by hand in both layouts, a whole klein in them, and files that do not say which."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.render.weights.test_formats import Tensors, assert_same, in_diffusers, linear_layers, loaded, single

from darkroom.checkpoint import DIFFUSERS, Checkpoint, Component
from darkroom.errors import CheckpointError
from darkroom.render.families.flux2.build import build_transformer
from darkroom.render.weights.safetensors_file import safetensors_tensors
from darkroom.render.weights.stored import stored_tensors

E4M3 = torch.float8_e4m3fn
CODES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # of e2m1, by the lower three of its four bits
NAMED = {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": {"w": {"format": "nvfp4"}}})}
MODELOPT = {"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}}


def scales_in_a_tile(**places: float) -> torch.Tensor:
    """One tile of block scales as bytes lie in it, zero but for `_<index>`."""
    tile = torch.zeros(512)
    for name, scale in places.items():
        tile[int(name.removeprefix("_"))] = scale
    return tile.to(E4M3)


def test_a_block_by_hand_as_comfyui_has_it(tmp_path: Path) -> None:
    """Two rows of two blocks; in a tile, row 1 begins at byte 16, and block 1 is the byte after block 0."""
    first = [0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF]  # high half first: 0, 0.5, 1, 1.5, … -6
    tensors = {
        "w.weight": torch.tensor([[*first, *[0x22] * 8], [*[0x70] * 8, *[0xA5] * 8]], dtype=torch.uint8),
        "w.weight_scale": scales_in_a_tile(_0=2.0, _1=1.5, _16=0.5, _17=8.0).reshape(128, 4),
        "w.weight_scale_2": torch.tensor(0.25),
        "w.input_scale": torch.tensor(0.01),
    }
    save_file(tensors, tmp_path / "x.safetensors", NAMED)
    (weight,) = safetensors_tensors(tmp_path / "x.safetensors").values()
    assert weight.shape == (2, 32)
    values = weight.read(slice(None))
    assert values.dtype == torch.float32
    assert values[0, :8].tolist() == [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0]
    assert values[0, 8:16].tolist() == [0.0, -0.25, -0.5, -0.75, -1.0, -1.5, -2.0, -3.0]
    assert values[0, 16:].tolist() == [0.375] * 16
    assert values[1, :16].tolist() == [0.75, 0.0] * 8
    assert values[1, 16:].tolist() == [-2.0, 6.0] * 8
    assert torch.equal(weight.read(slice(1, 2)), values[1:])


def test_rows_and_blocks_beyond_a_tile_by_hand(tmp_path: Path) -> None:
    """130 rows of 5 blocks are four tiles: row 33 of the first is at byte 20, row 129 in the third, block 4 beside."""
    tiles = torch.zeros(4, 512).to(E4M3)
    for tile, byte, scale in ((0, 20, 2.0), (0, 15, 4.0), (1, 0, 8.0), (2, 16, 16.0), (3, 16, 32.0)):
        tiles[tile, byte] = scale
    tensors = {
        "w.weight": torch.full((130, 40), 0x22, dtype=torch.uint8),  # 1.0
        "w.weight_scale": tiles.reshape(256, 8),
        "w.weight_scale_2": torch.tensor(1.0),
    }
    save_file(tensors, tmp_path / "x.safetensors", NAMED)
    (weight,) = safetensors_tensors(tmp_path / "x.safetensors").values()
    by_block = weight.read(slice(None))[:, ::16]
    assert {tuple(place.tolist()): by_block[tuple(place)].item() for place in by_block.nonzero()} == {
        (0, 4): 8.0,
        (33, 0): 2.0,
        (96, 3): 4.0,
        (129, 0): 16.0,
        (129, 4): 32.0,
    }


def test_a_block_by_hand_as_modelopt_has_it(tmp_path: Path) -> None:
    tensors = {
        "w.weight": torch.tensor([[0x10, 0x32, *[0x22] * 6], [0xA5] * 8], dtype=torch.uint8),
        "w.weight_scale": torch.tensor([[2.0], [0.5]]).to(E4M3),
        "w.weight_scale_2": torch.tensor([0.5]),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(MODELOPT))
    (weight,) = stored_tensors(Component(str(tmp_path), DIFFUSERS, digest="")).values()
    assert weight.read(slice(None))[0].tolist() == [0.0, 0.5, 1.0, 1.5, *[1.0] * 12]
    assert weight.read(slice(1, 2)).tolist() == [[0.75, -0.25] * 8]


# a whole klein, packed and tiled the plain way, a number at a time


def packed(weight: torch.Tensor) -> tuple[Tensors, torch.Tensor]:
    """The three tensors of a weight as ComfyUI writes it, and the values that they then are."""
    rows, columns = weight.shape
    whole = weight.abs().max() / (6 * 448)
    blocks = weight.reshape(rows, -1, 16)
    scales = (blocks.abs().amax(-1) / 6 / whole).to(E4M3)
    scaled = blocks / (scales.float() * whole).clamp(min=1e-30)[..., None]
    codes = (scaled.abs()[..., None] - torch.tensor(CODES)).abs().argmin(-1)
    values = torch.tensor(CODES)[codes].copysign(scaled) * scales.float()[..., None] * whole
    nibbles = (codes + 8 * (scaled < 0)).reshape(rows, -1)
    tiled = torch.zeros(-(-rows // 128), -(-columns // 64), 512)
    for row in range(rows):
        for block in range(columns // 16):
            byte = row % 32 * 16 + row % 128 // 32 * 4 + block % 4
            tiled[row // 128, block // 4, byte] = scales[row, block].float()
    tensors = {
        "weight": (nibbles[:, ::2] * 16 + nibbles[:, 1::2]).to(torch.uint8),
        "weight_scale": tiled.to(E4M3).reshape(-1, 4 * tiled.shape[1]),
        "weight_scale_2": whole,
    }
    return tensors, values.reshape(rows, columns)


@pytest.fixture(scope="session")
def in_nvfp4(klein: Checkpoint) -> tuple[Tensors, Tensors, list[str]]:
    """The tiny klein with all linear layers of its blocks in nvfp4, the values that it then has, the layers."""
    stored = load_file(klein["transformer"].path)
    tensors, values, layers = dict(stored), dict(stored), linear_layers(stored)
    for layer in layers:
        three, values[f"{layer}.weight"] = packed(stored[f"{layer}.weight"].float())
        tensors |= {f"{layer}.{name}": tensor for name, tensor in three.items()}
    return tensors, values, layers


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_a_klein_as_black_forest_labs_names_it(
    tmp_path: Path, in_nvfp4: tuple[Tensors, Tensors, list[str]], prefix: str, dtype: torch.dtype
) -> None:
    """flux-2-klein-4b-nvfp4.safetensors: formats in the header, without what stands before the keys."""
    tensors, values, layers = in_nvfp4
    named = {"format_version": "1.0", "layers": {layer: {"format": "nvfp4"} for layer in layers}}
    tensors = {f"{prefix}{key}": tensor for key, tensor in tensors.items()}
    component = single(tmp_path / "x.safetensors", tensors, {"_quantization_metadata": json.dumps(named)})
    assert_same(loaded(component, dtype), in_diffusers(values), dtype)


def test_a_klein_as_comfyui_saves_it(tmp_path: Path, in_nvfp4: tuple[Tensors, Tensors, list[str]]) -> None:
    """A part of the layers in nvfp4, others in float8, as *_nvfp4_mixed.safetensors are."""
    tensors, values, layers = in_nvfp4
    tensors, values = dict(tensors), dict(values)
    for layer in layers:
        named = b'{"format": "nvfp4", "full_precision_matrix_mult": false}'
        if layer.endswith("proj"):
            named = b'{"format": "float8_e4m3fn"}'
            tensors[f"{layer}.weight"] = (values[f"{layer}.weight"] * 8).to(E4M3)
            tensors[f"{layer}.weight_scale"] = torch.tensor(0.125)
            del tensors[f"{layer}.weight_scale_2"]
            values[f"{layer}.weight"] = tensors[f"{layer}.weight"].float() * 0.125
        tensors[f"{layer}.comfy_quant"] = torch.tensor(list(named), dtype=torch.uint8)
    assert_same(loaded(single(tmp_path / "x.safetensors", tensors)), in_diffusers(values))


def refusal(path: Path, tensors: Tensors, metadata: dict[str, str] | None = None) -> str:
    with pytest.raises(CheckpointError) as caught:
        build_transformer(single(path, tensors, metadata))
    return str(caught.value)


@pytest.mark.parametrize("metadata", [None, {"quantization_config": "{}", **NAMED}])
def test_a_layout_that_is_not_named_is_refused(
    tmp_path: Path, in_nvfp4: tuple[Tensors, Tensors, list[str]], metadata: dict[str, str] | None
) -> None:
    """The second is what ModelOpt writes for other programs: tiled or not, the file does not say."""
    tensors, _, layers = in_nvfp4
    said = refusal(tmp_path / "x.safetensors", tensors, metadata)
    assert said.startswith(f"{tmp_path}/x.safetensors: {layers[0]}.weight, {layers[1]}.weight, ")
    assert f", … ({len(layers)} in all): two 4-bit numbers a byte, in a layout that the file does not name; " in said
    assert said.endswith("or use the bfloat16 file")


def test_companions_that_are_missing_or_of_another_size(tmp_path: Path) -> None:
    weight = {"w.weight": torch.zeros(2, 16, dtype=torch.uint8), "w.weight_scale": torch.zeros(2, 2).to(E4M3)}
    said = refusal(tmp_path / "x.safetensors", weight, NAMED)
    assert "x.safetensors: w.weight_scale: expected F8_E4M3 [128, 4] beside an nvfp4 weight, got F8_E4M3 [2, 2]" in said
    weight["w.weight_scale"] = torch.zeros(128, 4).to(E4M3)
    said = refusal(tmp_path / "x.safetensors", weight, NAMED)
    assert "x.safetensors: w.weight_scale_2: expected F32 [] beside an nvfp4 weight, got none; use" in said
