"""The manifest of a run that failed: which pictures it has, and what is said of those that it has not."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.examples.record import REQUEST
from tests.review.renders import picture, render

from darkroom.files.atomic import write_json
from darkroom.files.images.image_file import encode_image, without_record
from darkroom.files.weight_file import sha256_of
from darkroom.job_errors import JobError, begin_job, end_job, end_killed_job, forget_job_errors
from darkroom.planned import PlannedCombination
from darkroom.record.rows import NOT_RENDERED, Failure, Record, read_rows, write_records
from darkroom.review.unfinished import rows_of, told, write_unfinished_manifest
from darkroom.store import ExperimentFolder, Store

NAMES = REQUEST.title.names
FOLDER = ExperimentFolder(Path("results/strength"))
RENDER = FOLDER.log("render", *NAMES)
NO_TURN = "not rendered: the run ended before it was its turn"


def write_combination(*requests, metadata="full"):
    """What a combination's jobs left, up to planning."""
    output = {"format": "png", "quality": 95, "save_latents": False, "metadata": metadata}
    draft = PlannedCombination(asked="now", lost="", output=output, lora_merge="auto", requests=requests)
    draft.write(FOLDER.draft(NAMES))
    write_json(FOLDER.checkpoint(NAMES.model), {})
    draft.write(FOLDER.requests(NAMES))


def write_picture(index=0):
    """A picture where the experiment shows it; its record."""
    made = render(Path(), picture(), index)
    path = FOLDER.images(NAMES) / f"{made.request.title.image_name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Path(made.image_path).rename(path)
    return replace(made, image_path=str(path), reused=True, cost=None)


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_pictures_that_are_there_are_done_and_the_others_failed_for_their_own_reasons():
    there = write_picture()
    nan, other = (there.request.changed(index=n, image_name=f"{n:04}_7", seed=n) for n in (1, 2))
    write_combination(there.request, nan, other)
    JobError("0001_7: NaN", {nan.request_id: "0001_7: NaN"}).write(RENDER)
    assert rows_of(FOLDER, NAMES) == [there, Failure.of(nan, "0001_7: NaN"), Failure.of(other, "0001_7: NaN")]


def test_a_picture_that_carries_nothing_is_there_where_the_store_has_it():
    there = write_picture()
    path, request = Path(there.image_path), there.request
    stored = Store(Path("results/store")).image(request.request_id, "png", 95)
    stored.parent.mkdir(parents=True)
    path.rename(stored)
    write_combination(request, metadata="none")
    path.write_bytes(without_record(stored.read_bytes()))
    assert rows_of(FOLDER, NAMES) == [replace(there, image_sha256=sha256_of(path))]
    for other in (b"", without_record(encode_image(picture(40), there.to_json(), "png", 95))):
        path.write_bytes(other)
        assert rows_of(FOLDER, NAMES) == [Failure.of(request, NO_TURN, NOT_RENDERED)]


def test_a_picture_of_what_was_asked_before_does_not_count():
    there = write_picture()
    asked = there.request.changed(seed=8)
    write_combination(asked)
    assert rows_of(FOLDER, NAMES) == [Failure.of(asked, NO_TURN, NOT_RENDERED)]


def test_requests_of_an_earlier_run_do_not_count():
    there = write_picture()
    asked = there.request.changed(loras=())
    write_combination(there.request)
    planned = PlannedCombination.read(FOLDER.draft(NAMES))
    replace(planned, asked="later", requests=(asked,)).write(FOLDER.draft(NAMES))
    assert rows_of(FOLDER, NAMES) == [Failure.of(asked, NO_TURN, NOT_RENDERED)]


def test_the_job_that_failed_first_says_why():
    write_combination(REQUEST)
    JobError("holds NaN").write(RENDER)
    JobError("red.png: cut off").write(FOLDER.log("plan", *NAMES))
    assert [row.error for row in rows_of(FOLDER, NAMES)] == ["red.png: cut off"]
    end_job(FOLDER.log("plan", *NAMES))
    assert [row.error for row in rows_of(FOLDER, NAMES)] == ["holds NaN"]


def test_a_killed_job_is_told_from_one_that_was_stopped_with_its_run():
    write_combination(REQUEST)
    log = FOLDER.log("encode", NAMES.model)
    begin_job(log)
    assert rows_of(FOLDER, NAMES) == [Failure.of(REQUEST, NO_TURN, NOT_RENDERED)]
    end_killed_job(log, None)
    said = f"results/strength/logs/encode/{NAMES.model}.log has what it said before"
    assert [row.error for row in rows_of(FOLDER, NAMES)] == [
        f"ended without a word: it was killed, perhaps for lack of memory; {said}"
    ]
    end_killed_job(log, "SLURM status is: 'CANCELLED'")
    assert "perhaps for lack of memory" in rows_of(FOLDER, NAMES)[0].error, "which it has said by now"


def test_what_a_part_of_a_killed_job_had_begun_failed_as_that_did():
    write_combination(REQUEST)
    shard = FOLDER.log("shard", "run", NAMES.model, "000")
    begin_job(shard)
    begin_job(RENDER, within=shard)
    assert rows_of(FOLDER, NAMES) == [Failure.of(REQUEST, NO_TURN, NOT_RENDERED)]
    end_killed_job(shard, "SLURM-job '17' failed, SLURM status is: 'OUT_OF_MEMORY'")
    assert [row.error for row in rows_of(FOLDER, NAMES)] == [
        "ended without a word: SLURM-job '17' failed, SLURM status is: 'OUT_OF_MEMORY'; "
        f"results/strength/logs/shard/run/{NAMES.model}/000.log has what it said before"
    ]


def test_a_run_forgets_what_an_earlier_one_said():
    write_combination(REQUEST)
    JobError("holds NaN").write(RENDER)
    forget_job_errors(FOLDER.logs)
    assert [row.error for row in rows_of(FOLDER, NAMES)] == [NO_TURN]


def test_requests_of_another_version_are_passed_over_for_the_draft():
    write_combination(REQUEST)
    write_json(FOLDER.requests(NAMES), {"asked": "now"})
    assert [row.error for row in rows_of(FOLDER, NAMES)] == [NO_TURN]


def test_finished_combinations_keep_their_records_and_the_experiment_is_finished_no_more():
    write_combination(REQUEST)
    done = replace(write_picture(5), request=REQUEST.changed(lora="none", index=5, image_name="0005_7"))
    write_records(FOLDER.records(done.request.title.names), [done], {})
    contents = [[*NAMES, 1, 0], [*done.request.title.names, 1, 1]]
    write_json(FOLDER.contents, {"experiment": "strength", "combinations": contents})
    write_records(FOLDER.records(NAMES), [done], {})
    FOLDER.finished.touch()
    write_unfinished_manifest(FOLDER)
    rows, metadata = read_rows(FOLDER.manifest)
    assert [(type(row), row.request.title.lora) for row in rows] == [(Failure, "anna"), (Record, "none")]
    assert metadata["experiment"] == "strength"
    assert not FOLDER.finished.exists()
    assert not FOLDER.records(NAMES).exists(), "they were of what was asked before"
    assert FOLDER.records(done.request.title.names).exists()


def test_the_terminal_hears_each_sentence_once():
    reasons = ["a.safetensors: holds NaN", "a.safetensors: holds NaN", "2 problems:\n  - one\n  - two", "c", "d", "e"]
    rows = [Failure.of(REQUEST, reason) for reason in reasons]
    assert told(rows, 6, Path("results/x/report.html")) == (
        "darkroom: 6 pictures failed; results/x/report.html shows which:\n"
        "  a.safetensors: holds NaN (2 pictures)\n"
        "  2 problems: one … (1 picture)\n"
        "  c (1 picture)\n"
        "  and 2 more reasons\n"
    )


def test_the_terminal_hears_of_pictures_that_had_no_turn_beside_failed_ones_by_their_number():
    no_turn = [Failure.of(REQUEST, NO_TURN, NOT_RENDERED)] * 21
    assert told([Failure.of(REQUEST, "a.safetensors: holds NaN"), *no_turn], 60, Path("report.html")) == (
        "darkroom: 1 picture failed, 21 pictures not rendered; report.html shows which:\n"
        "  a.safetensors: holds NaN (1 picture)\n"
    )


def test_the_terminal_hears_that_a_run_in_which_nothing_failed_was_stopped_and_goes_on():
    no_turn = [Failure.of(REQUEST, NO_TURN, NOT_RENDERED)] * 21
    said = "darkroom: stopped at 39 of 60 pictures; the next run goes on from there; report.html\n"
    assert told(no_turn, 60, Path("report.html")) == said


def test_the_terminal_hears_of_a_run_that_was_stopped_behind_its_last_picture():
    said = "darkroom: stopped at 4 of 4 pictures; the next run goes on from there; report.html\n"
    assert told([], 4, Path("report.html")) == said
