"""What `darkroom status` and `darkroom top` say, by the files that jobs and workers leave."""

import os
import time
from contextlib import closing
from pathlib import Path

import pytest

from darkroom.errors import StoreError
from darkroom.files.atomic import write_json
from darkroom.filesystem.lock import locked
from darkroom.filesystem.owner import mark
from darkroom.review.progress import time_left
from darkroom.review.workers import Status
from darkroom.store import ExperimentFolder
from darkroom.telling.worker_state import WorkerState

ELSEWHERE = "17-1-00000000"  # the mark of a process on another machine
MB = 10**6


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentFolder:
    """An experiment of 48 pictures, of which a combination of 12 was finished before the run."""
    folder = ExperimentFolder(tmp_path / "results/big")
    combinations = [["base_a", "none", "cats", 12, 12], ["base_a", "anna", "cats", 36, 0]]
    write_json(folder.contents, {"experiment": "big", "combinations": combinations})
    return folder


def says(folder: ExperimentFolder, name: str, mark: str, **values: object) -> None:
    WorkerState(name=name, mark=mark, **{"said_at": time.time(), **values}).write(folder.worker_logs / f"{name}.log")


def test_a_run_at_work_is_told_with_what_each_worker_does_and_what_waits(folder):
    rendering = {"doing": "rendering", "model": "base_a", "lora": "anna", "picture": "003_1", "step": 3, "steps": 20}
    says(folder, "node1-job17", ELSEWHERE, **rendering, rendered=4, seconds_each=4.0, memory=700 * MB)
    says(folder, "node2-job18-gpu1", mark(os.getpid()), doing="waiting", memory=300 * MB)
    says(folder, "node3-job19", ELSEWHERE, **(rendering | {"said_at": time.time() - 125}), memory=700 * MB)
    says(folder, "node4", f"4194305-1-{mark().split('-')[2]}")  # a process of this machine that is no more
    with closing(locked(folder.lock)):
        assert Status(folder).lines() == [
            "big: 12 of 48 pictures · 34 wait",
            "worker            does                  model   LoRA  picture     step  a minute  memory",
            "node1-job17       rendering             base_a  anna  003_1    3 of 20        15  700 MB",
            "node2-job18-gpu1  waiting                                                         300 MB",
            "node3-job19       silent for 2 min 5 s  base_a  anna  003_1    3 of 20            700 MB",
        ]


def test_where_no_run_is_at_work_that_is_said(folder):
    assert Status(folder).lines() == ["big: stopped at 12 of 48 pictures · no run is at work", "no worker is at work"]


def test_an_experiment_that_nobody_ran_is_an_error_with_the_cure(tmp_path):
    with pytest.raises(StoreError, match=r"results/lost: no run of it has begun; `darkroom run lost` begins one$"):
        Status(ExperimentFolder(tmp_path / "results/lost"))


def test_after_a_third_of_a_run_of_three_uneven_workers_the_time_left_is_near_the_truth():
    """One begins 20 s after the others, and is half as fast."""
    times = sorted(begin + each * n for begin, each in ((0, 4), (1, 5), (20, 10)) for n in range(1, 40))[:48]
    after, truth = times[15], times[47]
    assert (truth - after) / 1.5 < time_left(times[:16], 32, after) < (truth - after) * 1.5


@pytest.mark.parametrize(
    "wrong",
    [
        *[{"said_at": "now"}, {"said_at": float("inf")}, {"memory": "big"}, {"memory": 10**400}, {"seconds_each": "x"}],
        *[{"name": None}, {"mark": 1}, {"doing": {}}, {"steps": None}, {"mood": "fine"}],
    ],
)
def test_what_no_worker_of_this_version_has_written_is_passed_over(folder, wrong):
    state = {"name": "node1", "mark": ELSEWHERE, "said_at": time.time()}
    write_json(folder.worker_logs / "node1.json", state | wrong)
    assert Status(folder).lines()[-1] == "no worker is at work"
