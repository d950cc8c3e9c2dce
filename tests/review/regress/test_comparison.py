"""Rows of compare.parquet, and what all of them come to."""

from dataclasses import replace

import pytest
from tests.review.renders import THRESHOLDS, picture, preview, render

from darkroom.__main__ import main
from darkroom.errors import StoreError
from darkroom.review.pair.differences import Difference
from darkroom.review.regress.compare import compare_all
from darkroom.review.regress.comparison import read_comparisons, write_comparisons
from darkroom.review.regress.summary import failed, installed_versions, outdated, summary


@pytest.fixture(scope="module")
def drifted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drifted")
    row = render(folder, picture(shift=40))
    [comparison] = compare_all("strength", [row], [preview(folder, row, picture(), "jpg")], {"demo": THRESHOLDS})
    return replace(comparison, differs=(Difference("seed", "8", "7"),))


def test_rows_come_back_as_they_were_written(tmp_path, drifted):
    rows = [drifted, replace(drifted, image_name=None, psnr=None, differs=())]
    write_comparisons(tmp_path / "compare.parquet", rows, {"experiment": "strength"})
    assert read_comparisons(tmp_path / "compare.parquet") == (tuple(rows), {"experiment": "strength"})


def test_a_verdict_of_another_version_is_refused(tmp_path, drifted):
    write_comparisons(tmp_path / "compare.parquet", [replace(drifted, verdict="perhaps")], {})
    with pytest.raises(
        StoreError, match=r"compare\.parquet: verdict: expected one of identical, .*, got perhaps: of an"
    ):
        read_comparisons(tmp_path / "compare.parquet")


def test_a_table_that_cannot_be_read(tmp_path):
    with pytest.raises(StoreError, match=r"compare\.parquet: missing; run Snakemake with the target regress again"):
        read_comparisons(tmp_path / "compare.parquet")
    (tmp_path / "compare.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match="not a whole Parquet file"):
        read_comparisons(tmp_path / "compare.parquet")


def test_measures_for_people(drifted):
    taken = replace(drifted, max_abs=9, mean_abs=0.123456, psnr=31.2, ssim=0.93, flip=0.04)
    assert str(taken.measures) == "FLIP 0.0400, PSNR 31.20 dB, SSIM 0.9300, mean |Δ| 0.123 levels, max |Δ| 9 levels"
    equal = replace(taken, max_abs=0, mean_abs=0.0, psnr=None, ssim=1.0, flip=0.0)
    assert str(equal.measures) == "every pixel is equal"
    assert replace(taken, max_abs=None, mean_abs=None, psnr=None, ssim=None, flip=None).measures is None


@pytest.mark.parametrize(
    ("verdicts", "fails", "line"),
    [
        (["identical"], False, "1 preview: 1 identical"),
        (["within floor", "identical", "identical"], False, "3 previews: 2 identical, 1 within floor"),
        (["identical", "not reproducible"], False, "2 previews: 1 identical, 1 not reproducible"),
        (["identical", "drifted"], True, "2 previews: 1 identical, 1 drifted"),
        (["identical", "missing preview"], True, "2 previews: 1 identical, 1 missing preview"),
        (["not reproducible"], True, "1 preview: 1 not reproducible; nothing could be compared"),
        ([], True, "0 previews: nothing could be compared"),
    ],
)
def test_what_a_comparison_comes_to(drifted, verdicts, fails, line):
    comparisons = [replace(drifted, verdict=verdict) for verdict in verdicts]
    assert (failed(comparisons), summary(comparisons)) == (fails, line)


def test_a_picture_that_is_not_rendered_any_more_is_a_fault(tmp_path):
    row = render(tmp_path, picture())
    stored = [preview(tmp_path, row, picture()), preview(tmp_path, row, None, index=1, reason="seed -1")]
    known = compare_all("strength", [row], stored, {"demo": THRESHOLDS})
    assert [failed(known), summary(known)] == [False, "2 previews: 1 identical, 1 not reproducible"]
    lost = [*known, *compare_all("strength", [], [preview(tmp_path, row, None, index=2)], {"demo": THRESHOLDS})]
    assert summary(lost) == "3 previews: 1 identical, 1 not reproducible, 1 not rendered"
    assert failed(lost)


INSTALLED = {"torch": "2.13.0", "diffusers": "0.42.1"}


@pytest.mark.parametrize("torch", ["2.13.0", "2.13.0+cu130"])
def test_what_rendered_is_what_is_installed(torch):
    assert outdated({"rendered_torch_version": torch, "rendered_diffusers_version": "0.42.1"}, INSTALLED) is None


@pytest.mark.parametrize(
    ("torch", "installed"), [("2.12.1", "2.13.0"), ("2.12.1, 2.13.0", "2.13.0"), ("2.13.0+cpu", "2.13.0+cu130")]
)
def test_kept_pictures_of_other_versions_say_nothing_of_these(torch, installed):
    metadata = {"experiment": "strength", "rendered_torch_version": torch, "rendered_diffusers_version": "0.42.1"}
    assert outdated(metadata, INSTALLED | {"torch": installed}) == (
        f"rendered with torch {torch}; installed: torch {installed}. So nothing is known of what is installed: "
        "darkroom regress strength --fresh renders anew"
    )


def test_the_command_fails_for_an_upgrade(tmp_path, drifted, capsys):
    table = tmp_path / "compare.parquet"
    versions = {f"rendered_{package}_version": version for package, version in installed_versions().items()}
    write_comparisons(table, [replace(drifted, verdict="identical")], {"experiment": "strength", **versions})
    assert main(["rule", "verdict", str(table)]) == 0
    write_comparisons(
        table,
        [replace(drifted, verdict="identical")],
        {"experiment": "strength", **versions, "rendered_torch_version": "1.13.1"},
    )
    assert main(["rule", "verdict", str(table)]) == 1
    said = capsys.readouterr()
    assert "1 preview: 1 identical" in said.out
    assert "compare.parquet: rendered with torch 1.13.1; installed: torch 2." in said.err
