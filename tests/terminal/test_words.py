"""The sentences of a run in the terminal."""

from pathlib import Path

from darkroom.review.progress import RunProgress
from darkroom.telling.messages import FailedPictures, Planned
from darkroom.terminal.words import RunOutcome, closing_lines, dry_line, planned_line, progress_line, stopped_line

PLANNED = Planned("demo", pictures=60, there=12, combinations=5, models=1)
FINISHED = Planned("demo", pictures=60, there=60, combinations=5, models=1)
PAGE = Path("results/demo/report.html")


def progress(*, done: int, failed: int = 0, seconds_left: float | None = None) -> RunProgress:
    return RunProgress(
        total=60,
        done=frozenset(range(done)),
        rendered=done,
        failed={59 - place: "it is damaged" for place in range(failed)},
        seconds=30.0,
        seconds_each=1.0,
        seconds_left=seconds_left,
    )


def test_what_is_planned_is_one_line():
    assert planned_line(PLANNED) == "demo: 60 pictures, 12 of them there; 5 combinations, 1 model"
    assert planned_line(FINISHED) == "demo: 60 pictures, all of them there; 5 combinations, 1 model"
    none = Planned("one", pictures=1, there=0, combinations=1, models=1)
    assert planned_line(none) == "one: 1 picture; 1 combination, 1 model"


def test_a_dry_run_says_how_many_pictures_would_be_rendered():
    assert dry_line(PLANNED) == "-n: 48 pictures would be rendered"
    assert dry_line(FINISHED) == "-n: nothing would be rendered"


def test_progress_is_pictures_failures_and_time_left():
    assert progress_line(PLANNED, progress(done=35, seconds_left=41.2)) == "demo: 35 of 60 pictures, 0:41 left"
    assert progress_line(PLANNED, progress(done=35, failed=2)) == "demo: 35 of 60 pictures, 2 failed"


def test_a_stopped_run_is_one_sentence(tmp_path: Path):
    said = "demo: stopped at 35 of 60 pictures; the next run goes on from there"
    assert stopped_line(PLANNED, 35, tmp_path / "report.html") == said
    (tmp_path / "report.html").touch()
    assert stopped_line(PLANNED, 35, tmp_path / "report.html") == f"{said}; {tmp_path / 'report.html'}"


def test_a_run_that_went_well_ends_with_its_page():
    outcome = RunOutcome(planned=PLANNED, there=60, rendered=48, seconds=41.3, page=PAGE)
    assert closing_lines(outcome) == ["demo: 60 pictures in 0:41: 48 rendered, 12 kept", "results/demo/report.html"]


def test_the_closing_lines_are_five_at_most_whatever_went_wrong():
    failed = [
        FailedPictures(4, "mine.safetensors: lora_A.weight: holds NaN or infinity"),
        FailedPictures(2, "red.png: truncated"),
        FailedPictures(1, "out of memory"),
    ]
    outcome = RunOutcome(
        planned=PLANNED,
        there=53,
        rendered=41,
        seconds=3723,
        page=PAGE,
        judged="60 previews: 53 identical, 7 missing",
        failed=failed,
    )
    assert closing_lines(outcome) == [
        "demo: 53 of 60 pictures in 1:02:03: 41 rendered, 12 kept",
        "60 previews: 53 identical, 7 missing",
        "4 pictures failed: mine.safetensors: lora_A.weight: holds NaN or infinity",
        "3 pictures failed for 2 other reasons: the page has them",
        "results/demo/report.html",
    ]


def test_an_error_of_the_page_or_the_table_is_told_in_its_first_line():
    outcome = RunOutcome(planned=PLANNED, there=60, rendered=48, seconds=41, page=PAGE, errors=["disk full\nat x"])
    assert closing_lines(outcome)[1:] == ["disk full …", "results/demo/report.html"]


def test_of_several_problems_the_closing_line_has_the_first_not_their_number_alone():
    text = "2 problems:\n  - black-forest-labs/x: not here\n  - Qwen/y: not here"
    outcome = RunOutcome(planned=PLANNED, there=0, rendered=0, seconds=4, page=PAGE, failed=[FailedPictures(60, text)])
    assert closing_lines(outcome)[1] == "60 pictures failed: 2 problems: black-forest-labs/x: not here …"


def test_a_page_that_was_not_made_is_not_named():
    outcome = RunOutcome(planned=PLANNED, there=0, rendered=0, seconds=4, page=None)  # run demo --until checkpoint
    assert closing_lines(outcome) == ["demo: 0 of 60 pictures in 0:04: 0 rendered, 0 kept"]
