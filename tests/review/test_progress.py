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
from darkroom.review.progress import Watch
from darkroom.store import ExperimentFolder, Store

FOLDER, STORE = ExperimentFolder(Path("results/strength")), Store(Path("results/store"))
FOX = REQUEST.changed(loras=(), axes=(), index=0, image_name="000_7")
OWL = FOX.changed(index=1, image_name="001_7", seed=8)
NAMES = FOX.title.names
RENDER = FOLDER.log("render", *NAMES)
OUTPUT = {"format": "png", "quality": 95, "save_latents": False}


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def began(*further, done=0):
    """A run of two pictures, and of what `further` entries of the table of contents have."""
    combination(FOX, OWL).write(FOLDER.draft(NAMES))
    contents = [[*NAMES, 2, done], *further]
    write_json(FOLDER.contents, {"experiment": "strength", "combinations": contents})
    return Watch(FOLDER)


def combination(*requests, asked="now"):
    return PlannedCombination(asked=asked, lost="", output=OUTPUT, lora_merge="auto", requests=requests)


def plan(*requests, asked="now"):
    write_json(FOLDER.checkpoint(NAMES.model), {})
    combination(*requests, asked=asked).write(FOLDER.requests(NAMES))


def stored(request, seconds_ago=0.0):
    path = STORE.image(request.request_id, "png", 95)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(request.request_id.encode())
    os.utime(path, (time.time() - seconds_ago,) * 2)
    return path


def shown(request):
    return FOLDER.images(NAMES) / f"{request.title.image_name}.png"


def rendered(request, seconds_ago=0.0):
    link(stored(request, seconds_ago), shown(request))


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


def test_what_was_planned_for_another_question_does_not_count():
    plan(FOX, OWL, asked="before")
    rendered(FOX)
    watch = began()
    assert watch.look().done == frozenset()
    FOLDER.requests(NAMES).unlink()
    plan(FOX, OWL)
    assert watch.look().done == {0}


def test_the_time_that_is_left_is_told_from_the_pictures_of_this_run():
    cat, dog = (FOX.changed(index=n, image_name=f"{n:03}_7", seed=n) for n in (2, 3))
    combination(FOX, OWL, cat, dog).write(FOLDER.draft(NAMES))
    write_json(FOLDER.contents, {"experiment": "strength", "combinations": [[*NAMES, 4, 0]]})
    os.utime(FOLDER.contents, (time.time() - 100,) * 2)
    watch = Watch(FOLDER)
    plan(FOX, OWL, cat, dog)
    rendered(FOX, seconds_ago=1000)
    rendered(OWL, seconds_ago=10)
    assert watch.look().seconds_each is None, "one picture has no pace"
    rendered(cat, seconds_ago=4)
    now = watch.look()
    assert now.seconds_each == pytest.approx(6, abs=0.01)
    assert 0 <= now.seconds_left <= 2.1, "the fourth one was begun 4 seconds ago"
    assert 100 <= now.seconds < 160


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
