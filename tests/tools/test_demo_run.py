"""The demo's training run: its files are those that the tool makes, and what a comparison needs is there."""

from pathlib import Path

from tests.places import REPOSITORY

from darkroom.lora_files.series import files_of, read_series
from darkroom.previews import read_previews
from make_demo_run import FOLDER, STEPS, checkpoint, checkpoint_name, growth


def test_the_checkpoints_are_those_that_the_tool_makes() -> None:
    assert all((REPOSITORY / FOLDER / checkpoint_name(step)).read_bytes() == checkpoint(step) for step in STEPS)
    assert [round(growth(step), 1) for step in STEPS] == [0.4, 0.8, 1.0, 1.2]


def test_a_training_of_four_steps_is_four_values() -> None:
    series = read_series(files_of(REPOSITORY / FOLDER), "demo_training")
    assert [checkpoint.name for checkpoint in series.checkpoints] == [
        "demo_training_000000250",
        "demo_training_000000500",
        "demo_training_000000750",
        "demo_training_000001000",
    ]


def test_every_cell_has_a_preview_and_none_is_left_over() -> None:
    previews = read_previews(REPOSITORY / "previews/demo_training/previews.parquet")
    assert len({preview.key for preview in previews}) == 2 * (1 + 4 * 3)
    kept = set((REPOSITORY / FOLDER / "samples").iterdir())
    assert {Path(str(preview.path)) for preview in previews} == kept


def test_the_run_is_small() -> None:
    files = [file for file in (REPOSITORY / FOLDER).rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 200_000
