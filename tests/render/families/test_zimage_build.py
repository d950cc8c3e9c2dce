"""Z-Image's files: what is read, in which naming, and what is refused by its name."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.places import DATA
from tests.render.goldens import CPU, write_single_file, zimage_checkpoint

from darkroom.base_files.kinds import Z_IMAGE_FILES
from darkroom.checkpoint import DIFFUSERS, SINGLE_FILE, Checkpoint, Component
from darkroom.errors import CheckpointError, ConfigError, DarkroomError
from darkroom.render.families.autoencoder_kl import on_meta, vae_config
from darkroom.render.families.zimage import zimage
from darkroom.render.families.zimage.build import build_transformer
from darkroom.render.families.zimage.text import build_text_encoder
from darkroom.request.request import Request

KLEIN = DATA / "parity" / "klein"
MakeRequest = Callable[..., Request]


def _file(path: Path) -> Component:
    return Component(str(path), SINGLE_FILE, "")


def _refusal(checkpoint: Checkpoint, request: Request) -> str:
    with pytest.raises(DarkroomError) as raised:
        zimage.check(checkpoint, request.base, ())
    return str(raised.value)


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_a_single_file_gives_the_config_and_the_weights_of_the_folder(tmp_path: Path, prefix: str) -> None:
    path = write_single_file(tmp_path / "z_image_bf16.safetensors", prefix)
    stored = load_file(path) | {f"{prefix}norm_final.weight": torch.ones(96)}
    save_file(stored, path)
    module, weights = build_transformer(_file(path))
    whole, folder = build_transformer(zimage_checkpoint("zimage")["transformer"])
    names = ("dim", "n_layers", "n_refiner_layers", "n_heads", "n_kv_heads", "cap_feat_dim", "axes_dims", "axes_lens")
    assert [module.config[name] for name in names] == [whole.config[name] for name in names]
    for name in ("layers.1.attention.to_k.weight", "all_final_layer.2-1.linear.bias", "x_pad_token"):
        assert torch.equal(*(each.read(name, torch.float32, CPU) for each in (weights, folder)))


def test_files_of_other_models_are_refused_by_name(make_request: MakeRequest) -> None:
    request, klein = make_request(family="zimage"), _file(KLEIN / "flux-2-klein-base-4b.safetensors")
    assert "is FLUX.2's transformer; a transformer of Z-Image is needed: the transformer folder of" in _refusal(
        zimage_checkpoint("zimage", transformer=klein), request
    )
    assert "is FLUX.2's VAE; FLUX.1's VAE (16 latent channels, no bn statistics) is needed" in _refusal(
        zimage_checkpoint("zimage", vae=_file(KLEIN / "ae.safetensors")), request
    )
    assert "is a transformer of Z-Image; FLUX.1's VAE" in _refusal(
        zimage_checkpoint("zimage", vae=zimage_checkpoint("zimage")["transformer"]), request
    )
    encoder = Component(str(KLEIN / "qwen3"), DIFFUSERS, "")
    assert (
        "this text encoder is for another model: Qwen3 of hidden size 32, feed-forward size 64, 28 layers; tiny_zimage "
        "reads 64 text features a token, those of a text encoder of hidden size 64"
    ) in _refusal(zimage_checkpoint("zimage", text_encoder=encoder), request)


def test_lumina_2_which_has_almost_the_same_layers_is_told_apart(tmp_path: Path) -> None:
    stored = load_file(write_single_file(tmp_path / "lumina.safetensors"))
    save_file({key: t for key, t in stored.items() if not key.endswith("pad_token")}, tmp_path / "lumina.safetensors")
    with pytest.raises(CheckpointError, match="is a transformer of Lumina 2; a transformer of Z-Image is needed"):
        build_transformer(_file(tmp_path / "lumina.safetensors"))


def test_a_training_adapter_of_another_base_is_told_before_anything_is_loaded(make_request: MakeRequest) -> None:
    request = make_request(family="zimage")
    said = _refusal(zimage_checkpoint("turbo", "zimage_lora_bf16"), request)
    assert "zimage_lora_bf16.safetensors: this LoRA is for" in said
    zimage.check(zimage_checkpoint("turbo", "turbo_assistant_bf16"), request.base, ())


def test_the_last_layer_of_the_text_encoder_is_never_loaded() -> None:
    model, weights = build_text_encoder(zimage_checkpoint("zimage"))
    assert len(model.layers) == 3
    assert not [name for name in weights.shapes if name.startswith("layers.3.")]


def test_padding_is_cut_off_and_a_prompt_that_is_too_long_is_cut(make_request: MakeRequest) -> None:
    request = make_request(family="zimage", max_sequence_length=64, text_encoder_cast=True)
    encoder = zimage.load_text_encoder(zimage_checkpoint("zimage"), request.encoder, CPU)
    short, long = (zimage.encode(encoder, text)["prompt_embeds"] for text in ("a cat", "a cat, " * 100))
    assert short.shape[0] == long.shape[0] == 1
    assert short.shape[1] < long.shape[1] == 64
    assert (zimage.tokens_cut(encoder, "a cat"), zimage.tokens_cut(encoder, "a cat, " * 100) > 100) == (0, True)


def test_a_vae_in_one_file_has_the_numbers_of_flux1() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in on_meta().state_dict().items()}
    config = vae_config(Component("ae.safetensors", SINGLE_FILE, ""), shapes, Z_IMAGE_FILES["vae"])
    assert config == {
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
        "latent_channels": 16,
        "use_quant_conv": False,
        "use_post_quant_conv": False,
        "scaling_factor": 0.3611,
        "shift_factor": 0.1159,
    }


def test_there_is_nothing_that_an_image_could_condition(make_request: MakeRequest) -> None:
    base = zimage.load(zimage_checkpoint("zimage"), make_request(family="zimage").base, CPU)
    with pytest.raises(ConfigError, match="Z-Image takes no reference images"):
        zimage.encode_reference(base, make_request().sampling, None)  # type: ignore[arg-type]
