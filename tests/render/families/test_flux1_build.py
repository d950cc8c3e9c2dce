"""Which files make a FLUX.1, Flex.1 or Flex.2, and what is said of the others: before anything is loaded."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from tests.render.goldens import CPU, flux1_checkpoint

from darkroom.checkpoint import DIFFUSERS, SINGLE_FILE, Checkpoint, Component
from darkroom.errors import CheckpointError, ConfigError, DarkroomError, Problems
from darkroom.render.families.flux1 import flex2, flux
from darkroom.request.parts import BaseModel

FLUX, FLEX2 = flux1_checkpoint("flux"), flux1_checkpoint("flex2")
WEIGHTS = "diffusion_pytorch_model.safetensors"
BASE = BaseModel(family="flux", dtype="float32", guidance="embedded", numerics="exact")


def test_whole_models_are_right() -> None:
    flux.check(FLUX, BASE, ())
    flex2.check(FLEX2, BASE, ())


def test_a_model_whose_prompts_come_encoded_needs_no_text_encoder(tmp_path: Path) -> None:
    path = tmp_path / "embeds.safetensors"
    save_file({"prompt_embeds": torch.zeros(1, 512, 48), "pooled_prompt_embeds": torch.zeros(1, 32)}, path)
    parts = {part: FLUX[part] for part in ("transformer", "vae")}
    flux.check(replace(FLUX, components=parts), BASE, [str(path)])


def test_flex2_is_no_flux_and_flux_no_flex2() -> None:
    with pytest.raises(
        CheckpointError, match=r"takes 196 channels .* is Flex\.2 \(family: flex2\); FLUX\.1 or Flex\.1"
    ):
        flux.check(FLEX2, BASE, ())
    with pytest.raises(CheckpointError, match=r"takes 64 channels .* is FLUX\.1 or Flex\.1 .*; Flex\.2 .* takes 196"):
        flex2.check(FLUX, BASE, ())


def test_flux2_is_named(klein_folder: Checkpoint) -> None:
    with pytest.raises(Problems) as error:
        flux.check(replace(FLUX, components={**FLUX.components, **_rendering(klein_folder)}), BASE, ())
    said = str(error.value)
    assert "is FLUX.2's transformer; the transformer folder of FLUX.1-dev, Flex.1-alpha or Flex.2-preview" in said
    assert "is FLUX.2's VAE; the vae folder of FLUX.1-dev, Flex.1-alpha or Flex.2-preview is needed" in said


def test_schnell_is_named(tmp_path: Path) -> None:
    schnell = _copied("transformer", tmp_path, guidance_embeds=False)
    stored = load_file(tmp_path / WEIGHTS)
    save_file({key: tensor for key, tensor in stored.items() if "guidance_embedder" not in key}, tmp_path / WEIGHTS)
    _check_fails(schnell, r"has no guidance embedder, like FLUX\.1-schnell: .* FLUX\.1-dev, Flex\.1-alpha")


@pytest.mark.parametrize(("channels", "name"), [(128, r"FLUX\.1-Canny or FLUX\.1-Depth"), (384, r"FLUX\.1-Fill")])
def test_bfl_tools_are_named(channels: int, name: str, tmp_path: Path) -> None:
    _check_fails(_copied("transformer", tmp_path, in_channels=channels), name)


def test_a_single_file_is_refused_for_now(tmp_path: Path) -> None:
    path = tmp_path / "flux1-dev.safetensors"
    save_file({"double_blocks.0.img_mod.lin.weight": torch.zeros(2, 2)}, path)
    component = Component(str(path), SINGLE_FILE, "")
    expected = r"is a transformer of FLUX\.1 or Flex in one file; this family reads diffusers folders: the transformer"
    _check_fails(replace(FLUX, components={**FLUX.components, "transformer": component}), expected)


def test_the_vae_of_stable_diffusion_is_named(tmp_path: Path) -> None:
    AutoencoderKL(block_out_channels=(32,), latent_channels=4).save_pretrained(tmp_path)
    vae = replace(FLUX, components={**FLUX.components, "vae": Component(str(tmp_path), DIFFUSERS, "")})
    _check_fails(vae, r"is the VAE of Stable Diffusion \(4 latent channels, no bn statistics\)")


def test_stable_diffusion_3_has_a_vae_of_the_same_shapes(tmp_path: Path) -> None:
    vae = _copied("vae", tmp_path, scaling_factor=1.5305, shift_factor=0.0609)
    _check_fails(vae, r"config\.json: expected .*0\.3611.*, got .*1\.5305.*: is another model's VAE")


def test_weights_that_are_not_the_configs(tmp_path: Path) -> None:
    _check_fails(_copied("transformer", tmp_path, num_layers=3), r"lacks: transformer_blocks\.2\.")


def test_guidance_is_embedded() -> None:
    with pytest.raises(CheckpointError, match=r"tiny_flux: has a guidance embedder: .* embedded, got cfg"):
        flux.check(FLUX, replace(BASE, guidance="cfg"), ())


def test_encoded_prompts_have_to_fit_the_transformer(tmp_path: Path) -> None:
    path = tmp_path / "klein.safetensors"
    save_file({"prompt_embeds": torch.zeros(1, 512, 7680)}, path)
    with pytest.raises(ConfigError, match=r"klein\.safetensors: .*'pooled_prompt_embeds': 32}, got .*7680}"):
        flux.check(FLUX, BASE, [str(path)])


def test_every_linear_layer_can_be_named_by_an_adapter() -> None:
    base = flux.load(FLUX, BASE, CPU)
    shapes = base.adapter_shapes()
    assert len(shapes) == 2 * 14 + 2 * 6 + 10  # two double blocks, two single blocks, what is in no block
    assert shapes["transformer_blocks.0.norm1.linear"] == (576, 96)
    assert shapes["x_embedder"] == (96, 64)


def _rendering(checkpoint: Checkpoint) -> dict[str, Component]:
    return {part: checkpoint[part] for part in ("transformer", "vae")}


def _copied(part: str, folder: Path, **config: Any) -> Checkpoint:
    """The tiny FLUX.1 with a component of its own, whose config says something else."""
    shutil.copytree(FLUX[part].path, folder, dirs_exist_ok=True)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return replace(FLUX, components={**FLUX.components, part: Component(str(folder), DIFFUSERS, "")})


def _check_fails(checkpoint: Checkpoint, said: str) -> None:
    with pytest.raises(DarkroomError, match=said):
        flux.check(checkpoint, BASE, ())
