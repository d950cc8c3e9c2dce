"""What a run is said to take: by what results/ remembers, or as a guess."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.examples.record import COST, ENVIRONMENT, record

from darkroom.errors import DarkroomError
from darkroom.plan.estimate.estimate import Estimate, MachineFacts, estimate
from darkroom.plan.estimate.look import estimate_of
from darkroom.plan.estimate.past import CostClass, PastPicture, past_pictures, seconds_for_work, work_of
from darkroom.plan.estimate.told import question, told
from darkroom.plan.weights.downloads import Download
from darkroom.record.rows import write_records
from darkroom.store import RESULTS

KLEIN = Download(repo="someone/klein", parts=("transformer",), size=8 * 10**9, is_about=True, licence=None)
MACHINE = MachineFacts(
    card="NVIDIA H100", cores=2, disk_free=10**10, cache_free=10**11, weights={"m": 8 * 10**9}, downloads=(KLEIN,)
)


def missing(experiment):
    return {combination.names: combination.requests for combination in experiment.combinations}


def past(request, **changes):
    values = {
        "cost_class": CostClass.of(request),
        "device": "H100",
        "started_at": "2026-01-01",
        "work": work_of(request),
    }
    return PastPicture(**{**values, "seconds_load": 0.0, "seconds": 3.0, "pixels": 1000, "size": 1500, **changes})


def test_pictures_of_the_same_model_say_how_long_it_takes(project):
    experiment = project.load()
    (request, other) = experiment.combinations[0].requests
    seen = [past(request, seconds_load=20.0), past(request, seconds=5.0), past(other, device="A10", started_at="2025")]
    found = estimate(experiment, missing(experiment), seen, MACHINE)
    assert found.seconds == pytest.approx(10 + 20 + 2 * 4.0)
    assert (found.pictures, found.there, found.loads, found.switches, found.is_guess) == (2, 0, 1, 1, False)
    assert found.basis == ("m: as the 2 of it that results/ has, on H100",)


def test_a_first_picture_that_waited_for_compiled_blocks_is_no_pace(project):
    (request, _) = project.load().combinations[0].requests
    pictures = [past(request, seconds=56.0), *(past(request, seconds=0.15) for _ in range(9))]
    assert seconds_for_work(pictures) * work_of(request) == pytest.approx(0.15)


def test_a_picture_counts_for_the_pace_by_its_work(project):
    (request, _) = project.load().combinations[0].requests
    small = past(request, work=10.0, seconds=10.0)
    large = past(request, work=100.0, seconds=200.0)
    assert seconds_for_work([small, small, large]) == 2.0


def test_twice_the_steps_take_twice_the_time(project):
    request = project.load().combinations[0].requests[0]
    twice = project.load("prompts.defaults.sample_steps=8").combinations[0].requests[0]
    assert work_of(request) == 2 * 4 * (512 * 512 / 256 + 512), "guidance runs the negative prompt too"
    assert work_of(twice) == 2 * work_of(request)


def test_other_numerics_are_another_pace(project):
    fast = project.load("model.numerics=fast")
    (request, _) = project.load().combinations[0].requests
    assert estimate(fast, missing(fast), [past(request)], MACHINE).is_guess


def test_a_model_that_was_never_rendered_here_is_guessed_by_its_size(project):
    experiment = project.load()
    found = estimate(experiment, missing(experiment), [], MACHINE)
    operations = 2 * 4e9 * sum(map(work_of, experiment.combinations[0].requests))
    assert found.seconds == pytest.approx(10 + 8 + operations / 60e12)
    assert found.basis == ("m: never rendered here, so by its size and 60 TFLOP/s for NVIDIA H100",)
    assert told(found).splitlines()[1].startswith("  time       at a guess 21 s; 1 base model to load")


def test_nobody_can_tell_of_a_model_of_unknown_size(project):
    experiment = project.load()
    found = estimate(experiment, missing(experiment), [], replace(MACHINE, weights={"m": None}))
    assert found.seconds is None
    assert "nobody can tell how long" in told(found)


def test_what_is_there_costs_nothing(project):
    experiment = project.load()
    found = estimate(experiment, {}, [], replace(MACHINE, downloads=()))
    assert (found.there, found.seconds, found.is_much) == (2, 0.0, False)
    assert told(found) == "e: 2 pictures, all there: nothing to render\n"


def test_downloads_are_named_with_their_size_and_licence(project):
    experiment = project.load()
    gated = replace(KLEIN, is_about=False, licence="the FLUX non-commercial licence")
    small = replace(MACHINE, cache_free=10**9, downloads=(gated,))
    lines = told(estimate(experiment, missing(experiment), [], small)).splitlines()
    assert "  downloads  someone/klein: transformer, 8.0 GB" in lines
    licence = "accept the FLUX non-commercial licence at https://huggingface.co/someone/klein, then set HF_TOKEN"
    assert any(licence in line for line in lines)
    assert "             too much: 1.0 GB are free; HF_HOME names a folder on another disk" in lines


def test_a_run_asks_above_ten_minutes_or_a_gigabyte(project):
    experiment = project.load()
    much = estimate(experiment, missing(experiment), [], MACHINE)
    assert much.is_much
    assert question(much) == "2 pictures, at a guess 21 s, after 8.0 GB of downloads. Begin?"
    assert not replace(much, downloads=()).is_much
    assert replace(much, downloads=(), seconds=601.0).is_much


def test_a_manifest_that_cannot_be_read_tells_nothing(project):
    write_records(Path("good.parquet"), [record(), record(cost=None)], {})
    Path("bad.parquet").write_bytes(b"PAR1")
    (found,) = past_pictures([Path("bad.parquet"), Path("good.parquet")])
    assert (found.device, found.seconds_load, found.seconds) == (ENVIRONMENT.device, COST.seconds_load, 2.75)


def test_of_a_folder_where_nothing_was_rendered_everything_is_to_be_done(project):
    found = estimate_of(project.load(), RESULTS, card=None, ask_hub=False)
    assert isinstance(found, Estimate)
    assert (found.pictures, found.there, found.seconds) == (2, 0, None)
    assert [(each.repo, each.size) for each in found.downloads] == [("someone/klein", None)]
    assert not RESULTS.exists(), "an estimate writes nothing"


def test_every_problem_is_told_below_what_it_would_take(project):
    experiment = project.load()
    found = estimate(experiment, missing(experiment), [], MACHINE)
    lines = told(found, ["m: resident"], [DarkroomError("one"), DarkroomError("two\nlines", lines=True)]).splitlines()
    assert lines[-4:] == [
        lines[-4],
        "  problems   one",
        "             two",
        "             lines",
    ]
    assert "  memory     m: resident" in lines


def test_what_a_run_passes_over_is_said_beforehand(project):
    experiment = project.load()
    passed_over = "./output: passed over: x_000000100.safetensors (truncated)"
    text = told(estimate(experiment, missing(experiment), [], MACHINE), notes=[passed_over])
    assert text.splitlines()[-1] == f"  notes      {passed_over}"
