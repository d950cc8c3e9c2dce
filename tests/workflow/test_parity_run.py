"""FLUX.2's goldens through Snakemake with nothing but conf files: single files, adapters, images, encoded prompts."""

from typing import Any

import pytest
from tests.machine.canary import canary
from tests.workflow.golden_set import GoldenSet
from tests.workflow.project import REPOSITORY, Project

PARITY = REPOSITORY / "tests/data/parity"
RUNS = [
    ("t2i_odd_100x75_s4_g4", "float32"),
    ("lora_bf16_x0.5", "float32"),  # merged in the weights' dtype
    ("lora_netmerge_x1.0", "bfloat16"),  # merged in float32
    ("te_ref2_s4_g4", "bfloat16"),  # two reference images, the text encoder cast
    ("q8_lora_s25_g4", "bfloat16"),  # transformer and text encoder quantised, so live
    ("dev_ref1_s25_g4", "bfloat16"),  # guidance embedded, the prompt encoded
]


def model_of(case: dict[str, Any], dtype: str) -> dict[str, Any]:
    """conf/model for one case."""
    klein, dev = (str(PARITY / name) for name in ("klein", "dev"))
    sources = {
        "klein": {"transformer": f"{klein}/flux-2-klein-base-4b.safetensors", "text_encoder": f"{klein}/qwen3"},
        "dev": {"transformer": f"{dev}/flux2-dev.safetensors"},
    }
    return {
        "family": "flux2",
        "checkpoint": {"repo": klein, "vae": f"{klein}/ae.safetensors", **sources[case["model"]]},
        "guidance": "embedded" if case["model"] == "dev" else "cfg",
        "dtype": dtype,
        "quantize": {"transformer": case["quantize"], "text_encoder": case["quantize"]},
        "text_encoder_cast": case["text_encoder_cast"],
        "lora_merge": "auto" if case["quantize"] else case["lora_merge"],
    }


def prompt_of(case: dict[str, Any]) -> dict[str, Any]:
    """The one prompt of a case's set."""
    names = ("width", "height", "sample_steps", "guidance_scale", "seed", "network_multiplier", "neg")
    text = {"prompt_embeds": str(PARITY / "dev/prompt_embeds.safetensors")}
    images = [str(PARITY / "references" / f"{name}.png") for name in case["references"]]
    keys = ("ctrl_img", "ctrl_img_2", "ctrl_img_3")
    return {
        **({"prompt": case["prompt"]} if case["prompt"] else text),
        **{name: case[name] for name in names},
        **dict(zip(keys, images, strict=False)),
    }


GOLDENS = GoldenSet(PARITY, model_of, prompt_of)


@pytest.mark.parametrize(("case", "dtype"), RUNS)
def test_a_preview_of_the_trainer_comes_out_again(rendered: Project, case: str, dtype: str) -> None:
    GOLDENS.check_near(rendered, case, dtype)


def test_on_a_known_kind_of_processor_bit_for_bit(rendered: Project) -> None:
    ours = canary()
    if ours not in GOLDENS.hashes:
        pytest.skip("this processor rounds unlike those of the goldens")
    assert GOLDENS.unequal(rendered, ours) == []


def test_the_record_says_what_was_asked_and_what_was_done(rendered: Project) -> None:
    rows = {row["prompts"]: row for row in rendered.rows("goldens")}
    odd = rows["t2i_odd_100x75_s4_g4"]
    assert (odd["width_requested"], odd["height_requested"], odd["width"], odd["height"]) == (100, 75, 96, 64)
    assert odd["warnings"] == ["size 100x75 rendered as 96x64: sides are floored to a multiple of 16"]
    assert (odd["seed"], odd["guidance_scale"], odd["schedule"], odd["numerics"]) == (42, 4.0, "aitk", "exact")
    (lora,) = rows["lora_bf16_x0.5"]["loras"]
    assert (lora["network_multiplier"], lora["format"], lora["matched_keys"]) == (0.5, "lora", 44)
    assert len(rows["lora_bf16_x0.5"]["sigmas"]) == 26
    assert odd["threads"] == 1, "Snakemake gives the job one thread"


def test_the_record_says_how_it_was_conditioned(rendered: Project) -> None:
    rows = {row["prompts"]: row for row in rendered.rows("goldens")}
    quantised, dev = rows["q8_lora_s25_g4"], rows["dev_ref1_s25_g4"]
    assert (quantised["lora_merge"], quantised["lora_merge_reason"]) == (
        "live",
        "auto: the base is quantised (qfloat8)",
    )
    assert (quantised["quantize_transformer"], quantised["quantize_text_encoder"]) == ("qfloat8", "qfloat8")
    assert [image["path"].rpartition("/")[2] for image in dev["ctrl_images"]] == ["r_101x77.png"]
    assert (dev["guidance"], dev["prompt"], dev["neg"]) == ("embedded", "", "")
    assert dev["prompt_embeds"].endswith("prompt_embeds.safetensors")
    assert dev["text_encoder_digest"] == "", "a model whose prompts come encoded needs no text encoder"
    assert dev["memory_mode"] == "resident"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("parity") / "project")
    GOLDENS.write_conf(project, RUNS)
    result = project.snakemake("--config", "experiment=goldens")
    assert result.returncode == 0, result.stderr
    return project
