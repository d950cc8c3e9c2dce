"""A sheet as one file: titled, labelled, with previews, no larger than it may be."""

import os
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from tests.review.renders import picture, render, write_manifest

from darkroom.__main__ import main
from darkroom.errors import ConfigError
from darkroom.record.rows import Failure, Record, Row
from darkroom.review.sharing.drawing import draw
from darkroom.review.sharing.saving import bytes_of, check_ending, save, save_page
from darkroom.review.sharing.view import Selection, View, cut
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
    return cut(rows, Selection(**asked))  # type: ignore[arg-type]


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
        assert (after.width - before.width, after.height - before.height) == (
            0,
            96 + 2 + 8,
        )  # and what keeps the two apart from others
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
    with pytest.raises(ConfigError, match="expected a size such as 10MB or 500kB"):
        bytes_of("9" * 400)


@pytest.mark.parametrize("title", ["写" * 20_000, "w " * 20_000], ids=["without a space", "of short words"])
def test_a_text_of_any_length_is_cut_to_what_can_be_shown(rows: list[Row], title: str) -> None:
    drawn = draw(sheet(rows), sheet(rows).frames[0], 64, title, {})  # measuring all of it would take minutes
    assert drawn.height < 500


def test_the_page_goes_with_its_pictures_under_the_same_relative_names(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "results/anna")
    names = ["report.html", "regress.html", "verdicts.js", "images/demo/anna/0000_7.png"]
    for name in [*names, "logs/worker.log"]:
        (folder.root / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.root / name).write_text("something")
    os.utime(folder.root / names[3], (0, 0))  # ZIP knows no year before 1980
    save_page(folder, tmp_path / "anna.zip")
    with zipfile.ZipFile(tmp_path / "anna.zip") as archive:
        assert archive.namelist() == [f"anna/{name}" for name in names]


@pytest.fixture
def rendered(rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an experiment as a run leaves it; one works above it."""
    folder = ExperimentFolder(tmp_path / "results" / rows[0].request.title.experiment)
    folder.root.mkdir(parents=True)
    write_manifest(folder.root, rows)
    folder.report.write_text("a page")
    monkeypatch.chdir(tmp_path)
    return folder.root


def test_what_could_not_be_read_is_said_and_the_command_fails(
    rendered: Path, rows: list[Row], capsys: pytest.CaptureFixture[str]
) -> None:
    gone, junk = (Path(row.image_path) for row in rows[:2] if isinstance(row, Record))
    gone.unlink()
    junk.write_text("junk")
    for output, said in [("\x1b[31m.png", "\\x1b[31m.png: 1 picture of 128 pixels"), ("all.zip", "all.zip: 1 picture")]:
        assert main(["sheet", rendered.name, "-o", output]) == 1
        told, error = capsys.readouterr()
        assert told.startswith(said)
        assert told.endswith("; 1 not there: failed\n")
        assert f"lacks 2 pictures that cannot be read, the first of them {gone}: " in error


def test_what_a_page_cannot_be_asked_for_is_refused(rendered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sheet", rendered.name, "--only", "seed=1", "--most", "1kB", "-o", "some.zip"]) == 1
    assert "some.zip: a .zip is the whole page: leave --only, --most out, or draw a .png" in capsys.readouterr().err
    (rendered / "report.html").unlink()
    assert main(["sheet", rendered.name, "-o", "some.zip"]) == 1
    assert f"has no report.html yet: `darkroom run {rendered.name}` makes it" in capsys.readouterr().err
    assert not Path("some.zip").exists()
