"""What an older Darkroom wrote, read by everything in this room."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.examples.record import read_record
from tests.places import DATA
from tests.review.renders import THRESHOLDS, picture, preview, render, write_manifest

from darkroom.errors import VersionError
from darkroom.files.images.image_file import with_record
from darkroom.files.weight_file import sha256_of
from darkroom.plan.trials.as_conf import as_conf
from darkroom.previews import previews_file, read_previews, write_previews
from darkroom.record.rows import Record, read_records
from darkroom.review.accept import apply, plan_acceptance
from darkroom.review.explain import explain
from darkroom.review.manifest import write_manifest as join
from darkroom.review.regress.compare import compare
from darkroom.review.regress.comparison import read_comparisons
from darkroom.review.regress.regress_page import write_regress_page
from darkroom.review.sheet.report import write_report
from darkroom.review.show import show
from darkroom.thresholds import write_thresholds

# As if they were new: these may be null, or have a default.
CAME_SINCE = ["gpu_name", "noise_device", "latents_path", "allow_foreign_lora", "transformer_sha256", "drawn_from"]
MANIFEST, COMPARED = Path("results/strength/manifest.parquet"), Path("compare.parquet")
LISTED = previews_file("strength")


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    """A render, its manifest and its preview, none of which says a version or has the columns that came since."""
    monkeypatch.chdir(tmp_path)
    made = render(Path(), picture())
    image = Path(made.image_path)
    record = {name: value for name, value in read_record(image).items() if name not in ("format", *CAME_SINCE)}
    image.write_bytes(with_record(image.read_bytes(), record))
    write_manifest(Path(), [made])
    table = pq.read_table("manifest.parquet").drop_columns(CAME_SINCE)
    sha256 = table.schema.get_field_index("image_sha256")
    table = table.set_column(sha256, "image_sha256", [[sha256_of(image)]])
    MANIFEST.parent.mkdir(exist_ok=True)
    pq.write_table(table.replace_schema_metadata({"experiment": "strength"}), MANIFEST)
    write_previews(LISTED, "strength", [preview(Path(), made, picture(shift=2))])
    pq.write_table(pq.read_table(LISTED).drop_columns(["note", "accepted_because"]).replace_schema_metadata({}), LISTED)
    write_thresholds(Path("thresholds.json"), {"demo": THRESHOLDS})
    return made


def test_show_and_as_conf(older: Record) -> None:
    assert "  noise_device:           cpu" in show(Path(older.image_path)).splitlines()
    assert "noise_device: cpu" in as_conf(Path(older.image_path))


def test_manifest_and_report(older: Record) -> None:
    assert join([MANIFEST], Path("joined.parquet")) == 1
    assert read_records(Path("joined.parquet"))[0] == read_records(MANIFEST)[0]
    write_report(MANIFEST, MANIFEST.parent / "report.html")
    assert '"noise_device":{"values":["cpu"]}' in (MANIFEST.parent / "report.html").read_text(encoding="utf-8")


def test_compare_its_page_and_accept(older: Record) -> None:
    compare(MANIFEST, LISTED, Path("thresholds.json"), COMPARED)
    assert [each.verdict for each in read_comparisons(COMPARED)[0]] == ["within floor"]
    write_regress_page(COMPARED, Path("regress.html"))
    assert "could not be read" not in Path("regress.html").read_text(encoding="utf-8")
    apply(plan_acceptance(MANIFEST, LISTED, COMPARED, "strength"), "anna", "2026-01-02T03:04:05+00:00")
    (accepted,) = read_previews(LISTED)
    assert (accepted.sha256, accepted.then["noise_device"]) == (sha256_of(older.image_path), "cpu")
    assert "identical: " in explain(Path(older.image_path))


def test_a_comparison_by_commit_93b3d14(tmp_path: Path) -> None:
    drifted, gone = read_comparisons(DATA / "record/compare_unversioned.parquet")[0]
    assert (drifted.verdict, drifted.measures.psnr) == ("drifted", 18.25)
    assert drifted.held_against.environment.gpu_name == "NVIDIA H100"
    assert (gone.verdict, gone.measures) == ("not rendered", None)


def test_a_record_of_a_newer_version_says_so_and_its_picture_is_shown(older: Record) -> None:
    image = Path(older.image_path)
    newer = with_record(image.read_bytes(), read_record(image) | {"format": 9, "colour": "red"})
    compare(MANIFEST, LISTED, Path("thresholds.json"), COMPARED)
    image.write_bytes(newer)
    for tell in (show, as_conf, explain):
        with pytest.raises(VersionError, match=r"0000_7\.png: of format 9, so a newer Darkroom wrote it"):
            tell(image)
    write_regress_page(COMPARED, Path("regress.html"))
    text = Path("regress.html").read_text(encoding="utf-8")
    assert "0000_7.png: of format 9, so a newer Darkroom wrote it" in text
    assert '"pictures":{"preview":{"uri":"data:image/' in text
