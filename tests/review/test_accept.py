"""Renders that become previews: which, what is kept of the old ones, and what is refused."""

import json
from pathlib import Path

import pytest
from tests.review.renders import FLOOR, picture, preview, render, write_manifest

from darkroom.errors import ConfigError, Problems, StoreError
from darkroom.previews import DARKROOM, TRAINER, Replaced, previews_file, read_previews, write_previews
from darkroom.review.accept import apply, plan_acceptance
from darkroom.review.compare import compare
from darkroom.review.comparison import read_comparisons

WHEN = "2026-11-21T06:00:00+00:00"
LISTED = previews_file("strength")
IMAGES = Path("previews/strength/images/demo/anna/portraits")


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def regress(rows):
    Path("thresholds.json").write_text(json.dumps({"demo": FLOOR}))
    manifest = write_manifest(Path(), rows)
    compare(manifest, LISTED, Path("thresholds.json"), Path("compare.parquet"))
    return [each.verdict for each in read_comparisons(Path("compare.parquet"))[0]]


def plan(rows, compare_file="compare.parquet", **choice):
    return plan_acceptance(
        write_manifest(Path(), rows), LISTED, Path(compare_file) if compare_file else None, "strength", **choice
    )


@pytest.fixture
def rows():
    """0 is what the trainer previewed, 1 drifted from it, 2 has no preview."""
    rows = [render(Path(), picture(shift=shift), index, seed=7 + index) for index, shift in enumerate((0, 40, 80))]
    write_previews(LISTED, "strength", [preview(Path(), row, picture(), "jpg") for row in rows[:2]])
    assert regress(rows) == ["identical before encoding", "drifted", "missing preview"]
    return rows


def test_the_first_previews_of_an_experiment():
    row = render(Path(), picture())
    acceptance = plan([row], compare_file=None)
    assert acceptance.text() == (
        "1 render to become preview of strength, which keeps 0 more:\n"
        "  previews/strength/images/demo/anna/portraits/0000_7.png: missing preview"
    )
    assert not LISTED.exists()
    apply(acceptance, "anna", WHEN)
    [stored] = read_previews(LISTED)
    assert (stored.path, stored.sha256) == (str(IMAGES / "0000_7.png"), row["image_sha256"])
    assert Path(stored.path).read_bytes() == Path(row["image_path"]).read_bytes()
    assert (stored.origin, stored.then["torch_version"], stored.step) == (DARKROOM, "2.13.0", None)
    assert (stored.accepted_by, stored.accepted_at, stored.accepted_because) == ("anna", WHEN, "missing preview")
    assert regress([row]) == ["identical"]


def test_all_that_is_not_identical_already(rows):
    acceptance = plan(rows)
    assert acceptance.text().splitlines()[0] == "2 renders to become previews of strength, which keeps 1 more:"
    apply(acceptance, "anna", WHEN)
    first, second, third = read_previews(LISTED)
    assert (first.origin, first.accepted_by) == (TRAINER, None)
    assert second.replaced == (Replaced("samples/1700000000000__000000500_1.jpg", second.replaced[0].sha256),)
    assert (second.accepted_because, second.step) == ("drifted", 500)
    assert (third.accepted_because, third.replaced) == ("missing preview", ())
    assert regress(rows) == ["identical before encoding", "identical", "identical"]


def test_a_second_time_changes_nothing(rows):
    apply(plan(rows), "anna", WHEN)
    before = LISTED.stat().st_mtime_ns
    again = plan(rows, verdicts=["drifted"])  # the comparison is of before, and says so still
    assert again.text() == "nothing to accept: strength keeps its 3 previews"
    apply(again, "bert", WHEN)
    assert LISTED.stat().st_mtime_ns == before


def test_by_verdict_and_by_id(rows):
    def names(**choice):
        return [change.destination.name for change in plan(rows, **choice).changes]

    assert names(verdicts=["drifted"]) == ["0001_7.png"]
    assert names(verdicts=["identical before encoding"]) == ["0000_7.png"]
    assert names(ids=[rows[2]["request_id"][:6]], verdicts=["drifted"]) == ["0001_7.png", "0002_7.png"]
    assert names(verdicts=["not reproducible"]) == []


def test_choices_that_there_are_not(rows):
    with pytest.raises(Problems) as caught:
        plan(rows, verdicts=["bad"], ids=["12345", "00000000000f"])
    assert [str(error).partition(",")[0] for error in caught.value.errors] == [
        "--verdict: expected one of identical",
        "--id: expected the first 6 hex digits of a request_id or more",
        "--id 00000000000f: 0 requests begin so; expected one",
    ]
    with pytest.raises(StoreError, match="no comparison, so no verdicts"):
        plan(rows, compare_file=None, verdicts=["drifted"])
    assert isinstance(caught.value.errors[0], ConfigError)


def test_an_accepted_picture_is_kept_when_another_takes_its_place():
    old = render(Path(), picture())
    apply(plan([old], compare_file=None), "anna", WHEN)
    new = render(Path(), picture(shift=40))
    assert regress([new]) == ["drifted"]
    apply(plan([new]), "bert", "2026-11-22T06:00:00+00:00")
    [stored] = read_previews(LISTED)
    kept = f"previews/strength/replaced/{old['image_sha256'][:16]}.png"
    assert stored.replaced == (Replaced(kept, old["image_sha256"], "anna", WHEN),)
    assert {path.name for path in Path("previews/strength").rglob("*.png")} == {Path(kept).name, "0000_7.png"}
    third = render(Path(), picture(shift=80), image_format="webp")
    assert regress([third]) == ["drifted"]
    apply(plan([third]), "carl", WHEN)
    [stored] = read_previews(LISTED)
    assert [each.accepted_by for each in stored.replaced] == ["bert", "anna"]
    assert [path.name for path in IMAGES.iterdir()] == ["0000_7.webp"]
    assert all(Path(each.path).is_file() for each in stored.replaced)


def test_killed_before_the_list_was_written(monkeypatch):
    old = render(Path(), picture())
    apply(plan([old], compare_file=None), "anna", WHEN)
    new = render(Path(), picture(shift=40))
    with monkeypatch.context() as patch:
        patch.setattr("darkroom.review.accept.write_previews", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            apply(plan([new], compare_file=None), "bert", WHEN)
    apply(plan([new], compare_file=None), "bert", WHEN)
    [stored] = read_previews(LISTED)
    [replaced] = stored.replaced
    assert Path(replaced.path).read_bytes() != Path(stored.path).read_bytes()
    assert replaced.sha256 == old["image_sha256"]


def test_the_name_of_a_picture_that_is_rendered_no_more_stays_its_own():
    old = render(Path(), picture())
    apply(plan([old], compare_file=None), "anna", WHEN)
    new = render(Path(), picture(shift=40), axes=(("seed", 7),))
    apply(plan([new], compare_file=None), "anna", WHEN)
    second, first = read_previews(LISTED)
    assert [first.path, second.path] == [
        *[str(IMAGES / "0000_7.png"), str(IMAGES / f"0000_7_{new['request_id'][:12]}.png")]
    ]
    assert Path(first.path).read_bytes() != Path(second.path).read_bytes()


def test_a_draft_is_never_a_baseline():
    rows = [render(Path(), picture(), index, numerics="fast") for index in (0, 1)]
    with pytest.raises(StoreError, match=r"a draft is never a baseline.*0000_7\.png, .*0001_7\.png"):
        plan(rows, compare_file=None)


def test_files_that_are_not_what_the_manifest_says():
    rows = [render(Path(), picture(), index) for index in (0, 1, 2)]
    Path(rows[0]["image_path"]).write_bytes(b"")
    Path(rows[1]["image_path"]).unlink()
    with pytest.raises(Problems, match=r"2 problems:\n.*0000_7\.png: not the file .*\n.*0001_7\.png: not the file"):
        plan(rows, compare_file=None)


def test_a_comparison_of_other_renders_is_refused(rows):
    newer = render(Path(), picture(shift=41), 1, seed=8)  # the same request, on another machine
    with pytest.raises(StoreError, match=r"compare\.parquet: compares other renders than there are now"):
        plan([rows[0], newer, rows[2]])


def test_a_listed_path_outside_is_neither_copied_nor_removed(tmp_path):
    row = render(Path(), picture())
    (tmp_path / "secret.txt").write_text("secret")
    write_previews(LISTED, "strength", [preview(Path(), row, None, path="secret.txt", origin=DARKROOM, sha256="ab")])
    apply(plan([row], compare_file=None), "anna", WHEN)
    assert read_previews(LISTED)[0].replaced == (Replaced("secret.txt", "ab"),)
    assert (tmp_path / "secret.txt").exists()
    assert not (tmp_path / "previews/strength/replaced").exists()
