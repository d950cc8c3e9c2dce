"""What `darkroom diff` says of two pictures, and of two experiments."""

from pathlib import Path

import pytest
from PIL import Image
from tests.review.renders import picture, render, write_manifest

from darkroom.__main__ import main
from darkroom.errors import ImageError, StoreError
from darkroom.review.diff import diff_experiments, diff_pictures


def shown(folder, shift=0, index=0, **changes):
    return Path(render(folder, picture(shift), index, **changes).image_path)


def test_a_picture_is_identical_to_itself(tmp_path):
    path = shown(tmp_path)
    assert diff_pictures(path, path) == (
        f"- {path}\n+ {path}\npixels: identical\nnothing that is recorded differs\n",
        True,
    )


def test_what_is_recorded_otherwise_stands_beside_what_became_of_it(tmp_path):
    text, is_same = diff_pictures(shown(tmp_path), shown(tmp_path, shift=9, index=1, seed=8))
    assert not is_same
    assert "max |Δ| 9 levels" in text.splitlines()[2]
    assert text.splitlines()[3:] == ["recorded otherwise:", "  seed:                   7 → 8"]


def test_pictures_of_other_programs_are_compared_by_their_pixels(tmp_path):
    foreign = tmp_path / "foreign.png"
    Image.fromarray(picture()).save(foreign)
    text, is_same = diff_pictures(shown(tmp_path), foreign)
    assert is_same
    assert text.splitlines()[2] == "pixels: identical"
    assert text.splitlines()[3].startswith(f"no record: {foreign}: ")


def test_pictures_of_two_sizes_are_said_to_be(tmp_path):
    Image.fromarray(picture()[:40]).save(tmp_path / "low.png")
    text, is_same = diff_pictures(shown(tmp_path), tmp_path / "low.png")
    assert (text.splitlines()[2], is_same) == ("pixels: 64x48 and 64x40 cannot be compared", False)


def test_a_file_that_is_no_picture_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    for path in (tmp_path / "a.png", tmp_path / "missing.png", tmp_path):
        with pytest.raises(ImageError, match=str(path)):
            diff_pictures(shown(tmp_path), path)


def test_two_experiments_are_compared_picture_by_picture(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    same, other, gone = (render(tmp_path / "a", picture(), index) for index in range(3))
    first = write_manifest(tmp_path / "a", [same, other, gone])
    second = write_manifest(tmp_path / "b", [same, render(tmp_path / "b", picture(), 1, seed=9)])
    text, is_same = diff_experiments(first, second)
    assert not is_same
    assert text.splitlines() == [
        f"- {first}: 3 pictures",
        f"+ {second}: 2 pictures",
        "in both: 2, of which 1 ask for the same",
        "  seed:                   differs in 1 picture",
        f"- {gone.key}",
    ]
    assert diff_experiments(first, first)[1]


def test_experiments_are_named_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / "results" / name).mkdir(parents=True)
        write_manifest(tmp_path / "results" / name, [render(tmp_path, picture())])
    assert main(["diff", "a", "b"]) == 0
    assert "in both: 1, of which 1 ask for the same" in capsys.readouterr().out
    (tmp_path / "results/b/manifest.parquet").write_bytes(b"PAR1")
    assert main(["diff", "a", "b"]) == 1
    assert "not a whole Parquet file" in capsys.readouterr().err
    with pytest.raises(StoreError):
        diff_experiments(Path("results/a/manifest.parquet"), Path("results/b/manifest.parquet"))
    assert main(["diff", "a", "c"]) == 1
    assert capsys.readouterr().err.startswith("darkroom: c: neither a picture nor an experiment that was rendered")
    assert main(["diff", "a", str(shown(tmp_path))]) == 1
    assert "two pictures are compared, or two experiments, not one of each" in capsys.readouterr().err
