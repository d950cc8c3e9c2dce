"""The base models that come with Darkroom: each file reads, and names what the trainer reads."""

from pathlib import Path

import pytest
from tests.places import REPOSITORY

from darkroom.plan.conf.schema import CheckpointSource, Model
from darkroom.plan.load import load_experiment

CONF = REPOSITORY / "conf"
KLEIN_VAE = "ai-toolkit/flux2_vae/ae.safetensors"
MISTRAL = "mistralai/Mistral-Small-3.1-24B-Instruct-2503"
FILES = {
    "flux2_klein_4b": ("FLUX.2-klein-base-4B", "flux-2-klein-base-4b.safetensors", KLEIN_VAE, "Qwen/Qwen3-4B"),
    "flux2_klein_9b": ("FLUX.2-klein-base-9B", "flux-2-klein-base-9b.safetensors", KLEIN_VAE, "Qwen/Qwen3-8B"),
    "flux2_klein_4b_distilled": ("FLUX.2-klein-4B", "flux-2-klein-4b.safetensors", KLEIN_VAE, "Qwen/Qwen3-4B"),
    "flux2_klein_9b_distilled": ("FLUX.2-klein-9B", "flux-2-klein-9b.safetensors", KLEIN_VAE, "Qwen/Qwen3-8B"),
    "flux2": ("FLUX.2-dev", "flux2-dev.safetensors", "black-forest-labs/FLUX.2-dev/ae.safetensors", MISTRAL),
}
DIFFUSERS = {  # everything from the folders of one repository
    "flux": ("flux", "black-forest-labs/FLUX.1-dev"),
    "flex1": ("flux", "ostris/Flex.1-alpha"),
    "flex2": ("flex2", "ostris/Flex.2-preview"),
}
QWEN3, TURBO = "Qwen/Qwen3-4B", "Tongyi-MAI/Z-Image-Turbo"
ADAPTER = "ostris/zimage_turbo_training_adapter/zimage_turbo_training_adapter_v2.safetensors"
ZIMAGE = {  # transformer, and VAE where no other is named, from the folders of one repository
    "zimage": CheckpointSource(repo="Tongyi-MAI/Z-Image", text_encoder=QWEN3),
    "zimage_deturbo": CheckpointSource(repo="ostris/Z-Image-De-Turbo", vae=TURBO, text_encoder=QWEN3),
    "zimage_turbo": CheckpointSource(repo=TURBO, text_encoder=QWEN3, training_adapter=ADAPTER),
}


def load(name: str, *conf_dirs: Path) -> Model:
    overrides = [f"matrix.model=[{name}]", "matrix.lora=[none]", "matrix.prompts=[demo_loras]", "exclude=[]"]
    return load_experiment("demo", [*conf_dirs, CONF], overrides).models[name]


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_those_of_the_trainer(name):
    source = load(name).checkpoint
    repo, *files = FILES[name]
    assert [source.transformer, source.vae, source.text_encoder] == files
    assert (source.repo, source.revision, source.tokenizer) == (f"black-forest-labs/{repo}", None, None)


@pytest.mark.parametrize("name", DIFFUSERS)
def test_flux1_and_flex_come_whole_from_one_repository(name):
    model = load(name)
    assert (model.family, model.checkpoint) == (DIFFUSERS[name][0], CheckpointSource(repo=DIFFUSERS[name][1]))
    assert (model.guidance, model.schedule, model.attn_masking) == ("embedded", "aitk", False)
    assert (model.quantize.transformer, model.quantize.text_encoder) == (None, None)
    assert model.resolution_divisor == (32 if name == "flex2" else 16)


@pytest.mark.parametrize("name", ZIMAGE)
def test_z_image_has_kleins_text_encoder_and_turbo_its_training_adapter(name):
    model = load(name)
    assert (model.family, model.checkpoint) == ("zimage", ZIMAGE[name])
    assert (model.guidance, model.guidance_rule, model.schedule) == ("cfg", "aitk", "aitk")
    assert (model.quantize.transformer, model.quantize.text_encoder, model.text_encoder_cast) == (None, None, True)
    assert model.resolution_divisor == 16


@pytest.mark.parametrize(
    ("name", "steps", "scale", "distilled"),
    [
        ("flux2_klein_4b", 25, 4.0, False),
        ("flux2_klein_9b", 25, 4.0, False),
        ("flux2_klein_4b_distilled", 4, 1.0, True),
        ("flux2_klein_9b_distilled", 4, 1.0, True),
        ("flux2", 25, 4.0, False),
        ("flux", 25, 4.0, False),
        ("flex1", 25, 4.0, False),
        ("flex2", 25, 4.0, False),
        ("zimage", 30, 4.0, False),
        ("zimage_deturbo", 25, 3.0, False),
        ("zimage_turbo", 9, 1.0, False),
    ],
)
def test_defaults_are_those_documented_for_the_model(name, steps, scale, distilled):
    model = load(name)
    values = model.defaults
    assert (values.width, values.height, values.seed, values.neg) == (1024, 1024, 42, "")
    assert (values.sample_steps, values.guidance_scale, model.distilled) == (steps, scale, distilled)


def test_dev_has_embedded_guidance_and_a_quantised_text_encoder():
    dev, klein = load("flux2"), load("flux2_klein_4b")
    assert (dev.guidance, dev.resolution_divisor, dev.quantize.text_encoder) == ("embedded", 32, "qfloat8")
    assert (klein.guidance, klein.resolution_divisor, klein.quantize.text_encoder) == ("cfg", 16, None)
    assert dev.quantize.transformer is klein.quantize.transformer is None


def test_every_model_that_is_shipped_is_tested_here():
    assert {file.stem for file in (CONF / "model").glob("*.yaml")} == {*FILES, *DIFFUSERS, *ZIMAGE, "demo"}


def test_a_local_repo_gives_dev_its_own_vae(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("flux2-dev.safetensors", "ae.safetensors"):
        Path("dev").mkdir(exist_ok=True)
        Path("dev", name).write_bytes(b"\2\0\0\0\0\0\0\0{}")
    overrides = ["matrix.model=[flux2]", "matrix.lora=[none]", "exclude=[]", "model.checkpoint.repo=dev"]
    source = load_experiment("demo", [CONF], overrides).models["flux2"].checkpoint
    assert (source.repo, source.vae) == ("dev", "dev/ae.safetensors")


def test_a_comfyui_folder_named_once_in_config_goes_for_every_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("comfyui/models/vae").mkdir(parents=True)
    Path("conf").mkdir()
    Path("conf/config.yaml").write_text("model: {checkpoint: {comfyui_models: comfyui/models}}\n")
    overrides = [
        "matrix.model=[flux2, flux2_klein_4b, demo]",
        "matrix.lora=[none]",
        "matrix.prompts=[demo_loras]",
        "exclude=[]",
    ]
    models = load_experiment("demo", [Path("conf"), CONF], overrides).models
    assert {model.checkpoint.comfyui_models for model in models.values()} == {"comfyui/models"}
    assert models["flux2"].checkpoint.transformer == "flux2-dev.safetensors"


def test_a_comfyui_folder_that_is_not_there_is_told_with_the_file_that_names_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("conf").mkdir()
    Path("conf/config.yaml").write_text("model: {checkpoint: {comfyui_models: /gone}}\n")
    with pytest.raises(
        Exception, match=r"^conf/config.yaml: model.checkpoint.comfyui_models: /gone: expected a folder"
    ):
        load("flux2", Path("conf"))
