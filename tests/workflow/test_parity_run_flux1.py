"""The FLUX.1 family's goldens through Snakemake: diffusers folders, control and inpaint images, old LoKr, T5 masked."""

from typing import Any

import pytest
from tests.machine.canary import canary
from tests.workflow.golden_set import GoldenSet
from tests.workflow.project import REPOSITORY, Project

PARITY = REPOSITORY / "tests/data/parity/flux1"
RUNS = [
    ("fx_lokr_old_merge_x1", "bfloat16"),
    ("fx_attnmask_64_s4", "float32"),
    ("f2_ctrl_rgba_as_rgb_s4", "bfloat16"),
    ("f2_inpaint_lora_hook_s4", "float32"),
    ("f2_q8_lokr_hook_s4", "bfloat16"),
]


def model_of(case: dict[str, Any], dtype: str) -> dict[str, Any]:
    """conf/model for one case; Flex.2's own part is its transformer."""
    transformer = {"transformer": str(PARITY / "flex2/transformer")} if case["model"] == "flex2" else {}
    return {
        "family": case["model"],
        "checkpoint": {"repo": str(PARITY / "flux"), **transformer},
        "guidance": "embedded",
        "dtype": dtype,
        "quantize": {"transformer": case["quantize"], "text_encoder": case["quantize"]},
        "attn_masking": case["attn_masking"],
        "lora_merge": "auto" if case["quantize"] else case["lora_merge"],
    }


def prompt_of(case: dict[str, Any]) -> dict[str, Any]:
    """The one prompt of a case's set."""
    names = ("prompt", "width", "height", "sample_steps", "guidance_scale", "seed", "network_multiplier", "neg")
    prompt = {name: case[name] for name in names}
    if case["reference"]:
        prompt |= {"ctrl_img": str(PARITY / "references" / case["reference"]), "ctrl_idx": case["ctrl_idx"]}
    return prompt


GOLDENS = GoldenSet(PARITY, model_of, prompt_of)


@pytest.mark.parametrize(("case", "dtype"), RUNS)
def test_a_preview_of_the_trainer_comes_out_again(rendered: Project, case: str, dtype: str) -> None:
    GOLDENS.check_near(rendered, case, dtype)


def test_on_a_known_kind_of_processor_bit_for_bit(rendered: Project) -> None:
    ours = canary()
    if ours not in GOLDENS.hashes:
        pytest.skip("this processor rounds unlike those of the goldens")
    assert GOLDENS.unequal(rendered, ours) == []


def test_the_record_says_what_conditioned_the_picture(rendered: Project) -> None:
    rows = {row["prompts"]: row for row in rendered.rows("goldens")}
    inpaint, control = rows["f2_inpaint_lora_hook_s4"], rows["f2_ctrl_rgba_as_rgb_s4"]
    assert (inpaint["ctrl_idx"], control["ctrl_idx"], rows["fx_lokr_old_merge_x1"]["ctrl_idx"]) == (0, 1, None)
    assert control["warnings"][0].endswith("its transparency is dropped: with ctrl_idx 1 it is a control image")
    assert rows["fx_attnmask_64_s4"]["attn_masking"] is True
    assert rows["fx_lokr_old_merge_x1"]["loras"][0]["format"] == "lokr"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("parity1") / "project")
    GOLDENS.write_conf(project, RUNS)
    result = project.snakemake("--config", "experiment=goldens")
    assert result.returncode == 0, result.stderr
    return project
