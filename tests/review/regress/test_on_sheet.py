"""What the contact sheet hears of a comparison."""

import json
from dataclasses import replace

from tests.examples.record import record

from darkroom.record.rows import write_records
from darkroom.review.regress.comparison import write_comparisons
from darkroom.review.regress.on_sheet import sheet_verdicts, write_sheet_verdicts


def test_each_picture_has_its_verdict_its_preview_and_the_file_that_was_compared(comparisons, tmp_path):
    digests = {comparisons[1].key: "ab" * 32}
    _, drifted, missing, _ = sheet_verdicts(comparisons, digests, tmp_path)["pairs"]
    assert (drifted["name"], drifted["verdict"], drifted["sha256"]) == (
        "demo/anna/portraits/0001_7",
        "drifted",
        "ab" * 32,
    )
    assert drifted["measures"][1][0] == "PSNR"
    assert (drifted["preview"]["width"], drifted["preview"]["height"]) == (64, 48)
    assert drifted["preview"]["thumbnail"].startswith("data:image/png;base64,")
    assert drifted["preview"]["link"].endswith("samples/1700000000000__000000500_1.png")
    assert missing["preview"] is None


def test_of_very_many_previews_the_sheet_reads_the_files(comparisons, tmp_path):
    said = sheet_verdicts(comparisons, {}, tmp_path, carried=2)
    assert [pair["preview"] and pair["preview"]["thumbnail"] for pair in said["pairs"]] == ["", "", None, ""]


def test_a_preview_that_the_experiment_renders_no_more_is_not_on_its_sheet(comparisons, tmp_path):
    gone = [replace(each, image_name=None) for each in comparisons]
    assert sheet_verdicts(gone, {}, tmp_path)["pairs"] == []


def test_the_file_is_a_call_of_the_pages_function(comparisons, tmp_path):
    write_comparisons(tmp_path / "compare.parquet", comparisons, {})
    write_records(tmp_path / "manifest.parquet", [record()], {})
    write_sheet_verdicts(tmp_path / "compare.parquet", tmp_path / "manifest.parquet", tmp_path / "verdicts.js")
    call, said = (tmp_path / "verdicts.js").read_text(encoding="utf-8").split("(", 1)
    assert (call, len(json.loads(said.removesuffix(");\n"))["pairs"])) == ("verdicts", 4)
