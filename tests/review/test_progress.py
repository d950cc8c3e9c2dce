"""How far a run is, by the files that its jobs have left so far."""

import os
import time
from pathlib import Path

import pytest
from tests.examples.record import REQUEST

from darkroom.errors import StoreError
from darkroom.files.atomic import link, write_json
from darkroom.job_errors import JobError, begin_job, end_job
from darkroom.planned import PlannedCombination
from darkroom.review.progress import Watch, pace, pause_after, time_left
from darkroom.store import ExperimentFolder, Store

FOLDER, STORE = ExperimentFolder(Path("results/strength")), Store(Path("results/store"))
FOX = REQUEST.changed(loras=(), axes=(), index=0, image_name="000_7")
OWL = FOX.changed(index=1, image_name="001_7", seed=8)
NAMES = FOX.title.names
RENDER = FOLDER.log("render", *NAMES)
OUTPUT = {"format": "png", "quality": 95, "save_latents": False, "metadata": "full"}


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def began(*further, done=0, fresh=False):
    """A run of two pictures, and of what `further` entries of the table of contents have."""
    combination(FOX, OWL).write(FOLDER.draft(NAMES))
    contents = [[*NAMES, 2, done], *further]
    write_json(FOLDER.contents, {"experiment": "strength", "fresh": fresh, "combinations": contents})
    return Watch(FOLDER)


def combination(*requests, asked="now"):
    return PlannedCombination(asked=asked, lost="", output=OUTPUT, lora_merge="auto", requests=requests)


def plan(*requests, asked="now"):
    write_json(FOLDER.checkpoint(NAMES.model), {})
    combination(*requests, asked=asked).write(FOLDER.requests(NAMES))


def stored(request, at=None):
    path = STORE.image(request.request_id, "png", 95)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(request.request_id.encode())
    os.utime(path, (time.time() if at is None else at,) * 2)
    return path


def shown(request):
    return FOLDER.images(NAMES) / f"{request.title.image_name}.png"


def rendered(request, at=None):
    link(stored(request, at), shown(request))


def test_a_run_that_has_just_begun_has_nothing():
    now = began().look()
    assert (now.total, now.done, now.failed, now.seconds_left) == (2, frozenset(), {}, None)
    assert 0 <= now.seconds < 60


def test_pictures_count_as_they_come():
    watch = began()
    plan(FOX, OWL)
    assert watch.look().done == frozenset()
    rendered(OWL)
    assert watch.look().done == {1}
    rendered(FOX)
    assert watch.look().done == {0, 1}


def test_places_are_those_of_the_manifest():
    watch = began([NAMES.model, "aerial", "birds", 3, 3])  # before it in the alphabet, and done when the run began
    plan(OWL, FOX)
    rendered(FOX)
    assert [watch.look().total, sorted(watch.look().done)] == [5, [0, 1, 2, 3]]


def test_a_combination_that_was_done_is_done():
    assert began(done=2).look().done == {0, 1}


def test_a_picture_that_was_asked_for_before_is_not_the_one_that_is_asked_for_now():
    rendered(FOX)
    time.sleep(0.02)  # a time stamp apart
    watch = began()
    plan(FOX.changed(seed=9), OWL)
    stored(FOX.changed(seed=9))
    assert watch.look().done == frozenset(), "the experiment still shows the one of before"
    link(STORE.image(FOX.changed(seed=9).request_id, "png", 95), shown(FOX))
    assert watch.look().done == {0}


def test_a_picture_that_was_there_before_counts_once_it_is_planned():
    rendered(FOX)
    watch = began()
    assert watch.look().done == frozenset()
    plan(FOX, OWL)
    assert watch.look().done == {0}


def test_a_copy_that_this_run_made_counts():
    watch = began()
    plan(FOX, OWL)
    stored(FOX)
    shown(FOX).parent.mkdir(parents=True)
    shown(FOX).write_bytes(b"with the record of this experiment")
    assert watch.look().done == {0}


def test_what_a_fresh_run_made_counts_as_rendered_where_the_store_has_kept_what_it_had():
    watch = began(fresh=True)
    plan(FOX, OWL)
    stored(FOX, at=1000)
    shown(FOX).parent.mkdir(parents=True)
    shown(FOX).write_bytes(b"rendered anew; its own store is gone by now")
    progress = watch.look()
    assert (progress.done, progress.rendered) == ({0}, 1)


def test_what_was_planned_for_another_question_does_not_count():
    plan(FOX, OWL, asked="before")
    rendered(FOX)
    watch = began()
    assert watch.look().done == frozenset()
    FOLDER.requests(NAMES).unlink()
    plan(FOX, OWL)
    assert watch.look().done == {0}


def test_only_pictures_of_this_run_give_the_pace():
    watch = began()
    plan(FOX, OWL)
    rendered(FOX, at=1_000_000_000)  # in 2001
    rendered(OWL)
    assert (watch.look().done, watch.look().seconds_each) == ({0, 1}, None), "one picture has no pace"


def test_the_time_that_is_left_is_that_of_the_pictures_but_for_what_the_next_one_has_had():
    assert pace([100.0]) is None
    assert pace([100.0, 106.0, 112.0]) == 6
    assert time_left([100.0, 106.0, 112.0], left=3, now=114.0) == 16
    assert time_left([100.0, 106.0, 112.0], left=3, now=500.0) == 12, "another base model is being loaded"
    assert time_left([100.0, 106.0, 112.0], left=3, now=90.0) == 18, "the clock of the disk is ahead"
    assert time_left([100.0, 106.0], left=0, now=107.0) == 0
    assert time_left([100.0], left=3, now=101.0) is None


def test_a_job_at_work_has_not_failed_and_one_that_failed_fails_what_it_did_not_make():
    watch = began()
    plan(FOX, OWL)
    begin_job(RENDER)
    rendered(FOX)
    assert watch.look().failed == {}
    JobError("001_7: NaN", {OWL.request_id: "NaN"}).write(RENDER)
    assert (watch.look().done, watch.look().failed) == ({0}, {1: "NaN"})
    begin_job(RENDER)  # the second attempt
    assert watch.look().failed == {}


def test_a_lora_that_cannot_be_planned_fails_all_its_pictures():
    watch = began()
    JobError("anna.safetensors: cut off").write(FOLDER.log("plan", *NAMES))
    assert watch.look().failed == {0: "anna.safetensors: cut off", 1: "anna.safetensors: cut off"}
    end_job(FOLDER.log("plan", *NAMES))
    assert watch.look().failed == {}


def test_there_is_nothing_to_watch_before_the_first_run():
    with pytest.raises(StoreError, match=r"results/strength/contents\.json: missing"):
        Watch(FOLDER)


def test_looks_take_a_twentieth_of_the_time_at_most():
    assert [pause_after(0.01), pause_after(0.05), pause_after(2.0)] == [1.0, 1.0, 40.0]
