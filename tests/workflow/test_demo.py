"""What the demo shows, told by a plain classifier; and Darkroom's own night, against the pictures stored for it."""

import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.machine.canary import canary
from tests.workflow.project import REPOSITORY, Project

from darkroom.review.regress.comparison import read_comparisons
from demo_training.classifier import Seen, classify

PREVIEWS_OF = "be518c30ac7b1c34"  # canary of the processor that rendered previews/demo_nightly, all but these
BY_ANOTHER = ("demo_lokr", "demo_prompts")
Sheet = Mapping[tuple[str, float, str, int], Seen]  # by LoRA, strength, prompt, seed

HEARTS = {
    "a big yellow [trigger] on a blue background": ("yellow", "blue"),
    "a white [trigger] on a purple background": ("white", "purple"),
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """`make demo`, in a folder without a conf/ of its own."""
    project = Project(tmp_path_factory.mktemp("demo") / "project")
    project.folder.mkdir()
    done = project.snakemake("--config", "experiment=demo")
    assert done.returncode == 0, done.stderr
    shutil.copytree(REPOSITORY / "previews", project.folder / "previews")
    return project


@pytest.fixture(scope="module")
def sheet(demo: Project) -> Sheet:
    rows = demo.rows("demo")
    return {(row["lora"], row["network_multiplier"], _title(row), row["seed"]): _seen(demo, row) for row in rows}


def _title(row: Mapping[str, Any]) -> str:
    return f"{row['prompt_template']}, neg {row['neg']}" if row["neg"] else str(row["prompt_template"])


def _seen(project: Project, row: Mapping[str, Any]) -> Seen:
    with Image.open(project.folder / row["image_path"]) as image:
        return classify(np.asarray(image))


def _of(sheet: Sheet, lora: str, strength: float) -> list[Seen]:
    """The four pictures whose prompt has the trigger word."""
    found = [sheet[lora, strength, prompt, seed] for prompt in HEARTS for seed in (1, 2)]
    for seen, colours in zip(found, [colours for colours in HEARTS.values() for _ in (1, 2)], strict=True):
        assert (seen.colour, seen.ground) == colours, "whatever the LoRA, colours are those of the prompt"
    return found


def test_the_base_draws_what_the_prompt_says(sheet: Sheet) -> None:
    assert [seen.shape for seen in _of(sheet, "none", 1.0)] == ["heart"] * 4


def test_the_lora_teaches_a_star(sheet: Sheet) -> None:
    assert [seen.shape for seen in _of(sheet, "demo_lora", 1.0)] == ["star"] * 4


def test_the_lokr_teaches_outlines(sheet: Sheet) -> None:
    seen = _of(sheet, "demo_lokr", 1.0)
    assert [each.outlined for each in seen] == [True] * 4
    assert [each.shape for each in seen] == ["heart"] * 4


def test_a_negative_prompt_removes_what_it_names(sheet: Sheet) -> None:
    plain = "a big triangle on a gray background"
    without, with_neg = (
        [sheet["none", 1.0, title, seed] for seed in (1, 2)] for title in (plain, f"{plain}, neg green")
    )
    assert [seen.colour for seen in without] == ["green"] * 2
    assert "green" not in [seen.colour for seen in with_neg]
    assert {seen.shape for seen in (*without, *with_neg)} == {"triangle"}


def test_without_guidance_the_prompt_weighs_less(sheet: Sheet) -> None:
    at_one = [sheet["none", 1.0, "a pink cross on a green background", seed] for seed in (1, 2)]
    assert [seen.shape for seen in at_one].count("cross") < 2


def test_a_reference_image_is_edited_as_told(sheet: Sheet) -> None:
    for seed in (1, 2):
        seen = sheet["none", 1.0, "make it blue", seed]
        assert (seen.shape, seen.colour, seen.ground) == ("heart", "blue", "white")


def test_tonights_pictures_are_those_that_are_stored(demo: Project) -> None:
    done = demo.snakemake("regress", "--config", "experiment=demo_nightly")
    assert done.returncode == 0, done.stderr
    rows, _ = read_comparisons(demo.folder / "results/demo_nightly/compare.parquet")
    assert len(rows) == 18
    here = [row for row in rows if (row.lora, row.prompts) != BY_ANOTHER] if canary() == PREVIEWS_OF else []
    assert {row.verdict for row in here} <= {"identical"}
    assert {row.verdict for row in rows} <= {"identical", "within floor", "undecided"}


@pytest.mark.parametrize(
    ("fault", "least"), [("model.schedule=diffusers", 1), ("prompts.defaults={network_multiplier: 0.95}", 3)]
)
def test_a_night_with_a_fault_is_noticed(demo: Project, fault: str, least: int) -> None:
    """Four pictures, which these two faults move out of their floors on any processor; milder ones: docs/regress.md."""
    four = '"matrix.lora=[demo_lokr]","matrix.prompts=[demo_prompts]"'
    demo.snakemake("regress", "--config", "experiment=demo_nightly", f'set=["{fault}",{four}]')
    rows, _ = read_comparisons(demo.folder / "results/demo_nightly/compare.parquet")
    verdicts = [row.verdict for row in rows if row.request_id]
    assert len(verdicts) == 4
    assert verdicts.count("drifted") >= least
