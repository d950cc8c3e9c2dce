"""Renders that become previews: which, what is kept of the old ones, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.review.renders import THRESHOLDS, picture, preview, render, write_manifest

from darkroom.errors import ConfigError, Problems, StoreError
from darkroom.files.images.image_file import without_record
from darkroom.files.weight_file import sha256_of
from darkroom.previews import DARKROOM, TRAINER, Replaced, previews_file, read_previews, write_previews
from darkroom.record.rows import Failure
from darkroom.review.accept import apply, plan_acceptance
from darkroom.review.regress.compare import compare
from darkroom.review.regress.comparison import read_comparisons
from darkroom.thresholds import write_thresholds

WHEN = "2026-11-21T06:00:00+00:00"
LISTED = previews_file("strength")
IMAGES = Path("previews/strength/images/demo/anna/portraits")


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def regress(rows):
    write_thresholds(Path("thresholds.json"), {"demo": THRESHOLDS})
    manifest = write_manifest(Path(), rows)
    compare(manifest, LISTED, Path("thresholds.json"), Path("compare.parquet"))
    return [each.verdict for each in read_comparisons(Path("compare.parquet"))[0]]


def name(row):
    return f"{row.request.title.image_name}.{row.image_sha256[:12]}.{row.image_path.rpartition('.')[2]}"


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


def test_a_picture_that_failed_is_not_accepted_and_keeps_its_preview(rows):
    failed = [Failure.of(row.request, "anna.safetensors: holds NaN") for row in rows[1:]]
    assert regress([rows[0], *failed]) == ["identical before encoding", "not rendered", "not rendered"]
    assert plan([rows[0], *failed]).is_empty
    assert plan([rows[0], *failed], verdicts=["not rendered"]).is_empty


def test_a_picture_that_carries_nothing_becomes_a_preview():
    row = render(Path(), picture())
    path = Path(row.image_path)
    path.write_bytes(without_record(path.read_bytes()))
    row = replace(row, image_sha256=sha256_of(path))
    apply(plan([row], compare_file=None), "anna", WHEN)
    [stored] = read_previews(LISTED)
    assert Path(stored.path).read_bytes() == path.read_bytes()
    assert stored.then["seed"] == 7
    assert regress([row]) == ["identical"]


def test_the_first_previews_of_an_experiment():
    row = render(Path(), picture())
    acceptance = plan([row], compare_file=None)
    assert acceptance.text() == (
        "1 render to become preview of strength, which keeps 0 more:\n"
        f"  previews/strength/images/demo/anna/portraits/{name(row)}: missing preview"
    )
    assert not LISTED.exists()
    apply(acceptance, "anna", WHEN)
    [stored] = read_previews(LISTED)
    assert (stored.path, stored.sha256) == (str(IMAGES / name(row)), row.image_sha256)
    assert Path(stored.path).read_bytes() == Path(row.image_path).read_bytes()
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


def test_what_awaits_a_preview_of_its_training_is_accepted_by_its_verdict_only():
    known, new = render(Path(), picture()), render(Path(), picture(), 1, lora="anna_000000750")
    write_previews(LISTED, "strength", [preview(Path(), known, picture())])
    assert regress([known, new]) == ["identical", "no preview yet"]
    assert [change.render for change in plan([known, new]).changes] == []
    assert [change.render for change in plan([known, new], verdicts=["no preview yet"]).changes] == [new]


def test_by_verdict_and_by_id(rows):
    def names(**choice):
        return [change.render.request.title.image_name for change in plan(rows, **choice).changes]

    assert names(verdicts=["drifted"]) == ["0001_7"]
    assert names(verdicts=["identical before encoding"]) == ["0000_7"]
    assert names(ids=[rows[2].request_id[:6]], verdicts=["drifted"]) == ["0001_7", "0002_7"]
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
    kept = f"previews/strength/replaced/{old.image_sha256[:16]}.png"
    assert stored.replaced == (Replaced(kept, old.image_sha256, "anna", WHEN),)
    assert {path.name for path in Path("previews/strength").rglob("*.png")} == {Path(kept).name, name(new)}
    third = render(Path(), picture(shift=80), image_format="webp")
    assert regress([third]) == ["drifted"]
    apply(plan([third]), "carl", WHEN)
    [stored] = read_previews(LISTED)
    assert [each.accepted_by for each in stored.replaced] == ["bert", "anna"]
    assert [path.name for path in IMAGES.iterdir()] == [name(third)]
    assert all(Path(each.path).is_file() for each in stored.replaced)


def test_killed_before_the_list_was_written(monkeypatch):
    old = render(Path(), picture())
    apply(plan([old], compare_file=None), "anna", WHEN)
    new = render(Path(), picture(shift=40))
    with monkeypatch.context() as patch:
        patch.setattr("darkroom.review.accept.write_previews", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            apply(plan([new], compare_file=None), "bert", WHEN)
    [stored] = read_previews(LISTED)  # the baseline is what it was, table and picture
    assert (stored.accepted_by, sha256_of(stored.path)) == ("anna", old.image_sha256)
    apply(plan([new], compare_file=None), "bert", WHEN)
    [stored] = read_previews(LISTED)
    assert [(each.sha256, sha256_of(each.path)) for each in stored.replaced] == [(old.image_sha256,) * 2]
    assert [path.name for path in IMAGES.iterdir()] == [name(new)]


def test_a_render_that_changed_since_it_was_agreed_to_changes_nothing():
    olds = [render(Path(), picture(), index) for index in (0, 1)]
    apply(plan(olds, compare_file=None), "anna", WHEN)
    news = [render(Path(), picture(shift=40), index) for index in (0, 1)]
    acceptance = plan(news, compare_file=None)
    Path(news[1].image_path).write_bytes(b"")
    with pytest.raises(StoreError, match=r"0001_7\.png: not the file that the manifest lists"):
        apply(acceptance, "bert", WHEN)
    assert sorted(path.name for path in Path("previews").rglob("*.png")) == sorted(map(name, olds))
    assert [(each.accepted_by, sha256_of(each.path)) for each in read_previews(LISTED)] == [
        ("anna", old.image_sha256) for old in olds
    ]


def test_what_is_not_rendered_any_more_is_dropped():
    old, new = render(Path(), picture()), render(Path(), picture(shift=40), 1)
    apply(plan([old], compare_file=None), "anna", WHEN)
    stored = preview(Path(), old, picture(), index=2)
    unknown = preview(Path(), old, None, index=3, reason="seed -1")
    write_previews(LISTED, "strength", [*read_previews(LISTED), stored, unknown])
    assert plan([new], compare_file=None, ids=[new.request_id]).dropped == ()
    assert regress([new]) == ["not rendered", "missing preview", "not rendered", "not reproducible"]
    alone = plan([new], verdicts=["not rendered"])
    assert (len(alone.dropped), alone.changes) == (2, ())
    acceptance = plan([new], compare_file=None)
    assert acceptance.text().splitlines() == [
        "1 render to become preview of strength, which keeps 1 more and drops 2:",
        f"  {IMAGES / name(new)}: missing preview",
        f"  no longer rendered: {IMAGES / name(old)} (demo / anna / portraits, picture 0)",
        "  no longer rendered: samples/1700000000000__000000500_0.png (demo / anna / portraits, picture 2)",
    ]
    apply(acceptance, "anna", WHEN)
    assert [(each.index, each.reason) for each in read_previews(LISTED)] == [(1, None), (3, "seed -1")]
    assert {path.name for path in Path("previews").rglob("*.png")} == {name(new), f"{old.image_sha256[:16]}.png"}
    assert Path(str(stored.path)).is_file()  # a trainer's stays where it lies


def test_dropping_alone_is_a_change_too():
    old = render(Path(), picture())
    write_previews(LISTED, "strength", [preview(Path(), old, picture())])
    acceptance = plan([], compare_file=None)
    assert not acceptance.is_empty
    apply(acceptance, "anna", WHEN)
    assert read_previews(LISTED) == ()


@pytest.mark.parametrize("left", [None, b"edited"])
def test_an_accepted_picture_that_was_lost_or_edited_is_restored(left):
    row = render(Path(), picture())
    apply(plan([row], compare_file=None), "anna", WHEN)
    accepted = IMAGES / name(row)
    accepted.unlink() if left is None else accepted.write_bytes(left)
    assert regress([row]) == ["missing preview"]
    apply(plan([row]), "bert", WHEN)
    assert regress([row]) == ["identical"]
    [stored] = read_previews(LISTED)
    assert [Path(each.path).read_bytes() for each in stored.replaced] == ([] if left is None else [left])


def test_what_was_rendered_fast_is_never_a_baseline():
    rows = [render(Path(), picture(), index, numerics="fast") for index in (0, 1)]
    with pytest.raises(StoreError, match=r"numerics fast is never a baseline.*0000_7\.png, .*0001_7\.png"):
        plan(rows, compare_file=None)
    rows = [render(Path(), picture(), index, numerics="fast") for index in range(4)]
    with pytest.raises(StoreError, match=r"0002_7\.png, … \(4 in all\)$"):
        plan(rows, compare_file=None)


def test_files_that_are_not_what_the_manifest_says():
    rows = [render(Path(), picture(), index) for index in (0, 1, 2)]
    Path(rows[0].image_path).write_bytes(b"")
    Path(rows[1].image_path).unlink()
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
