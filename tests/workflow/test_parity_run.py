"""Goldens through Snakemake with nothing but conf files: ai-toolkit's single files, a LoRA in its format, latents."""

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from tests.workflow.project import REPOSITORY, Project

PARITY = REPOSITORY / "tests/data/parity"
TRAINER = PARITY / "golden/b003c85269dbccdc/bfloat16"
MODEL = f"""\
family: flux2
checkpoint:
  repo: {PARITY}/klein
  transformer: {PARITY}/klein/flux-2-klein-base-4b.safetensors
  vae: {PARITY}/klein/ae.safetensors
  text_encoder: {PARITY}/klein/qwen3
lora_merge: merged_in_dtype
"""
PROMPT = """\
prompts:
  - {prompt: a photo of a cat holding a sign that says hello world, width: 64, height: 75, sample_steps: 25}
"""
EXPERIMENT = """\
matrix:
  model: [trained_on]
  lora: [none, trained]
  prompts: [previewed]
  network_multiplier: [0.5]
output: {save_latents: true}
"""


@pytest.mark.parametrize(("lora", "case"), [("none", "t2i_64_s25_g4"), ("trained", "lora_bf16_x0.5")])
def test_a_preview_of_the_trainer_comes_out_again(rendered: Project, lora: str, case: str) -> None:
    (row,) = [row for row in rendered.rows("preview") if row["lora"] == lora]
    golden = load_file(TRAINER / f"{case}.safetensors")["latents"]
    latents = load_file(rendered.folder / row["latents_path"])["latents"]
    # Another processor than the trainer's rounds differently; tests/render compares bit for bit where one can.
    assert np.abs(latents - golden).mean() / np.abs(golden).mean() < 2e-2
    picture = np.asarray(Image.open(rendered.folder / row["image_path"]), float)
    preview = np.asarray(Image.open(TRAINER / f"{case}.png"), float)
    assert np.abs(picture - preview).mean() < 1, "levels of 255"


def test_the_record_says_what_was_asked_and_what_was_done(rendered: Project) -> None:
    row = next(row for row in rendered.rows("preview") if row["lora"] == "trained")
    assert (row["width_requested"], row["height_requested"], row["width"], row["height"]) == (64, 75, 64, 64)
    assert row["warnings"] == ["size 64x75 rendered as 64x64: sides are floored to a multiple of 16"]
    assert (row["seed"], row["guidance_scale"], row["schedule"], row["numerics"]) == (42, 4.0, "aitk", "exact")
    (lora,) = row["loras"]
    assert (lora["network_multiplier"], lora["format"], lora["matched_keys"]) == (0.5, "lora", 44)
    assert len(row["sigmas"]) == 26
    assert row["threads"] == 1, "Snakemake gives the job one thread"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("parity") / "project")
    project.write("conf/model/trained_on.yaml", MODEL)
    project.write("conf/lora/trained.yaml", f"loras: [{{path: {PARITY}/adapters/lora_bf16.safetensors}}]\n")
    project.write("conf/prompts/previewed.yaml", PROMPT)
    project.write("conf/experiment/preview.yaml", EXPERIMENT)
    result = project.snakemake("--config", "experiment=preview")
    assert result.returncode == 0, result.stderr
    return project
