"""What `darkroom check` finds, what it takes away, and what it says."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.review.inventory.results_folder import STORE, picture_id
from tests.review.renders import picture, preview, render

from darkroom.__main__ import main
from darkroom.files.atomic import link, write_json
from darkroom.files.content import write_content
from darkroom.filesystem.lock import locked
from darkroom.previews import previews_file, write_previews
from darkroom.record.rows import write_records
from darkroom.store import ExperimentFolder

CATS = ExperimentFolder(Path("results/cats"))
EMBEDDING = STORE.embedding(picture_id("e"))


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    """Two pictures of the store, shown by one experiment, whose second has a stored preview; one embedding."""
    monkeypatch.chdir(tmp_path)
    rows = []
    for number, kind in enumerate(("jpeg", "webp")):
        row = render(Path("made"), picture(number), number, kind)
        stored = STORE.image(row.request_id, kind, 90)
        write_content(stored, Path(row.image_path).read_bytes())
        shown = CATS.images(row.request.title.names) / Path(row.image_path).name
        link(stored, shown)
        rows.append(replace(row, image_path=str(shown)))
    CATS.records(rows[0].request.title.names).parent.mkdir(parents=True)
    write_records(CATS.records(rows[0].request.title.names), rows, {})
    write_records(CATS.manifest, rows, {})
    write_content(EMBEDDING, b"embedding of a text")
    write_json(CATS.embeddings("m"), {"embeddings": {"a cat": picture_id("e")}})
    write_previews(previews_file("cats"), "cats", [preview(Path(), rows[1], picture(1))])
    return rows


def zero(path: Path, place: int) -> None:
    """A block of a file, in place: its size stays."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes(64))


def said(capsys, *arguments) -> tuple[int, list[str]]:
    return main(["check", *arguments]), capsys.readouterr().out.splitlines()


def test_all_that_is_as_it_was_written_is_counted(capsys):
    status, lines = said(capsys)
    assert status == 0
    assert [line.split()[:2] for line in lines[1:]] == [
        ["store", "3"],
        ["pictures", "2"],
        ["records", "3"],
        ["previews", "2"],
    ]
    assert [line.split()[-1] for line in lines] == ["bad", "0", "0", "0", "0"]
    assert said(capsys, "cats") == (0, lines)


@pytest.mark.parametrize("place", [1300, -64])
def test_a_zeroed_block_of_a_picture_is_found_and_taken_away_with_every_name_of_it(results, capsys, place):
    for row in results:
        shown = Path(row.image_path)
        zero(shown, place % shown.stat().st_size)
    status, lines = said(capsys, "cats")
    assert status == 1
    stored = [STORE.image(row.request_id, row.image_format, 90) for row in results]
    assert {line for line in lines if "damaged" in line} == {
        *(f"{path}: damaged: not what was written" for path in stored),
        *(f"{row.image_path}: damaged, or changed by somebody: not what was written" for row in results),
    }
    assert lines[-1] == "`darkroom check --mend` takes them away, so that the next run makes them again, and no more"

    status, lines = said(capsys, "cats", "--mend")
    assert status == 0
    assert lines[-1] == "4 files taken away: the next run of the experiments makes them again, and no more"
    assert [path for path in stored if path.exists()] == []
    assert {line.rpartition(": ")[2] for line in said(capsys)[1] if "jpg" in line} == {"gone"}


def test_an_embedding_records_and_a_manifest_are_found(results, capsys):
    records = CATS.records(results[0].request.title.names)
    zero(EMBEDDING, 0)
    zero(records, 40)
    zero(CATS.manifest, CATS.manifest.stat().st_size - 64)
    CATS.embeddings("other").write_text('{"embeddings": {"a c')
    main(["check", "--json", "--mend"])
    told = json.loads(capsys.readouterr().out)
    assert {(each["path"], each["kind"], each["mended"]) for each in told["bad"]} == {
        (str(EMBEDDING), "store", True),
        (str(records), "records", True),
        (str(CATS.manifest), "records", True),
        (str(CATS.embeddings("other")), "records", True),
    }
    assert not any(path.exists() for path in (EMBEDDING, records, CATS.manifest, CATS.embeddings("other")))


def test_a_preview_is_named_and_left_to_its_owner(capsys):
    (sample,) = Path("samples").iterdir()
    zero(sample, 50)
    status, lines = said(capsys, "--mend")
    assert status == 1
    assert lines[-2:] == [
        f"{sample}: damaged, or changed by somebody: not what was written",
        "previews are not made again: bring them back from where they were, or accept others",
    ]
    assert sample.exists()


def test_what_an_older_version_wrote_has_its_digest_noted(results, capsys):
    for sums in STORE.root.rglob("SHA256SUMS"):
        sums.unlink()
    EMBEDDING.unlink()
    assert said(capsys)[1][-1] == (
        "2 files of the store, of an older version, show no damage: `darkroom check --mend` notes their digests"
    )
    said(capsys, "--mend")
    status, lines = said(capsys)
    assert (status, lines[-1].split()[0]) == (0, "previews")


def test_while_a_run_is_at_work_nothing_is_taken_away(results, capsys):
    zero(Path(results[0].image_path), 1300)
    with closing(locked(CATS.lock)):
        assert main(["check", "--mend"]) == 1
    assert "results/cats: another Snakemake is at work on this experiment" in capsys.readouterr().err
    assert Path(results[0].image_path).exists()


def test_a_name_that_nothing_has_is_answered_with_the_closest(capsys):
    assert main(["check", "cat"]) == 1
    assert "there is no experiment cat; did you mean cats? `darkroom list` has all" in capsys.readouterr().err
