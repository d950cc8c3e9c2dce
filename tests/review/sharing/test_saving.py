"""A sheet as one file: titled, labelled, with previews, no larger than it may be."""

import zipfile
from pathlib import Path

import pytest
from PIL import Image
from tests.review.renders import picture, render

from darkroom.errors import ConfigError
from darkroom.record import Failure, Row
from darkroom.review.sharing.saving import bytes_of, check_ending, save, save_page
from darkroom.review.sharing.view import Asked, View, cut
from darkroom.store import ExperimentFolder


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    """Two steps of 64 x 48, two seeds; one failed."""
    made: list[Row] = [
        render(
            tmp_path / f"{step}{seed}", picture(seed * 20), lora=f"anna_{step:09d}", axes=(("seed", seed),), seed=seed
        )
        for step in (250, 500)
        for seed in (1, 2)
    ]
    return [*made[:3], Failure.of(made[3].request, "out of memory")]


def sheet(rows: list[Row], **asked: tuple[str, ...] | str) -> View:
    return cut(rows, Asked(**asked))  # type: ignore[arg-type]


def test_pictures_are_as_large_as_the_bytes_allow(rows: list[Row], tmp_path: Path) -> None:
    view, output = sheet(rows), tmp_path / "sheet.png"
    side, size = save(view, output, "anna", {}, bytes_of("10MB"))
    assert (side, size) == (128, output.stat().st_size)
    with Image.open(output) as image:
        assert image.size > (2 * 128, 2 * 96)
    assert save(view, output, "anna", {}, size - 1)[0] == 96
    with pytest.raises(ConfigError, match=r"sheet\.png: with pictures of 64 pixels it has .*, more than --most 1 kB: "):
        save(view, output, "anna", {}, 1000)


def test_a_picture_stands_in_its_place_and_its_preview_above_it(rows: list[Row], tmp_path: Path) -> None:
    stored = tmp_path / "preview.png"
    Image.new("RGB", (64, 48), "#00ff00").save(stored)
    without, output = tmp_path / "a.png", tmp_path / "b.png"
    save(sheet(rows), without, "anna", {}, 10**7)
    save(sheet(rows), output, "anna", {rows[0].key: stored}, 10**7)
    with Image.open(without) as before, Image.open(output) as after:
        assert (after.width - before.width, after.height - before.height) == (0, 96 + 2)
        assert sum(1 for colour in after.convert("RGB").get_flattened_data() if colour == (0, 255, 0)) > 128 * 80


@pytest.mark.parametrize("ending", ["webp", "gif"])
def test_an_axis_over_time_is_an_animation(rows: list[Row], tmp_path: Path, ending: str) -> None:
    output = tmp_path / f"steps.{ending}"
    save(sheet(rows, over="step"), output, "anna", {}, 10**7)
    with Image.open(output) as image:
        assert getattr(image, "n_frames", 1) == 2


def test_endings_and_sizes_that_cannot_be_are_sentences() -> None:
    for name, animated, said in [
        ("sheet.pdf", False, "sheet.pdf: a sheet ends in .png, .jpg, .webp, or .zip for the page with its pictures"),
        ("sheet.gif", False, "sheet.gif: a sheet ends in "),
        ("steps.png", True, "steps.png: an animation ends in .webp, .gif"),
    ]:
        with pytest.raises(ConfigError) as caught:
            check_ending(Path(name), animated=animated)
        assert said in str(caught.value)
    assert (bytes_of("10MB"), bytes_of("1.5 kb"), bytes_of("77")) == (10_000_000, 1500, 77)
    with pytest.raises(ConfigError, match="--most large: expected a size such as 10MB or 500kB"):
        bytes_of("large")


def test_the_page_goes_with_its_pictures_under_the_same_relative_names(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "results/anna")
    for name in ("report.html", "verdicts.js", "images/demo/anna/0000_7.png", "logs/worker.log"):
        (folder.root / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.root / name).write_text("something")
    save_page(folder, tmp_path / "anna.zip")
    with zipfile.ZipFile(tmp_path / "anna.zip") as archive:
        names = ["report.html", "verdicts.js", "images/demo/anna/0000_7.png"]
        assert archive.namelist() == [f"anna/{name}" for name in names]
