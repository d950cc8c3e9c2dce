"""Where the record of a picture is found that carries none, and the stored previews of one."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from tests.review.renders import picture, preview, render, write_manifest

from darkroom.errors import NoRecordError, StoreError
from darkroom.files.images.image_file import without_record
from darkroom.files.weight_file import sha256_of
from darkroom.named_picture import list_of_previews, read_record_of
from darkroom.plan.trials.as_conf import as_conf
from darkroom.planned import Contents
from darkroom.previews import previews_file, write_previews
from darkroom.review.diff import diff_pictures
from darkroom.review.explain import explain
from darkroom.review.show import show
from darkroom.store import RESULTS, ExperimentFolder


def bare(folder, pixels, index, **changes):
    """A row of the manifest whose picture is there without its record."""
    row = render(folder, pixels, index, **changes)
    path = folder / "images/demo" / Path(row.image_path).name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(without_record(Path(row.image_path).read_bytes()))
    return replace(row, image_path=str(path), image_sha256=sha256_of(path))


@pytest.fixture
def pictures(tmp_path):
    """0 and 1 are the same picture to the byte, of seeds 7 and 8; 2 is another, of seed 9."""
    rows = [bare(tmp_path, picture(shift), index, seed=7 + index) for index, shift in enumerate((0, 0, 40))]
    write_manifest(tmp_path, rows)
    return [Path(row.image_path) for row in rows]


def test_the_record_is_the_manifest_s_by_the_file_s_digest(pictures):
    assert [read_record_of(path).request.sampling.seed for path in pictures] == [7, 8, 9]


def test_commands_on_a_picture_find_it(pictures):
    assert "  seed:                   9" in show(pictures[2]).splitlines()
    assert "seed: 9" in as_conf(pictures[2])
    text, is_same = diff_pictures(pictures[0], pictures[1])
    assert (is_same, "no record" in text) == (True, False)
    assert [line.split() for line in text.splitlines() if "seed" in line] == [["seed:", "7", "→", "8"]]


def test_a_manifest_that_was_written_since_counts(pictures, tmp_path):
    read_record_of(pictures[2])
    pictures[2].unlink()
    newer = bare(tmp_path, picture(80), 2, seed=99)
    write_manifest(tmp_path, [newer])
    assert read_record_of(pictures[2]).request.sampling.seed == 99


def test_a_picture_that_was_edited_or_taken_elsewhere_has_none(pictures, tmp_path_factory):
    Image.fromarray(picture(1)).save(pictures[0])
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "a.png"
    elsewhere.write_bytes(pictures[1].read_bytes())
    for path in (pictures[0], elsewhere):
        with pytest.raises(NoRecordError, match=f"{path}: a picture without a Darkroom record: it is neither in "):
            show(path)


def test_a_damaged_manifest_is_named(pictures, tmp_path):
    (tmp_path / "manifest.parquet").write_bytes(b"half")
    with pytest.raises(StoreError, match=r"manifest\.parquet: not a whole Parquet file"):
        show(pictures[0])


def test_a_variant_s_picture_is_explained_by_the_previews_of_the_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    variant = render(tmp_path, picture(), experiment="strength_fast")
    contents = ExperimentFolder(RESULTS / "strength_fast").contents
    Contents(experiment="strength_fast", source="strength", combinations=()).write(contents)
    write_previews(previews_file("strength"), "strength", [preview(tmp_path, variant, picture(1))])

    text = explain(Path(variant.image_path))
    assert (
        f"against {tmp_path}/samples/1700000000000__000000500_0.png (ai-toolkit of unknown version, step 500)"
        in text.splitlines()
    )

    write_previews(previews_file("strength_fast"), "strength_fast", [])
    assert list_of_previews(variant, RESULTS) == previews_file("strength_fast")
