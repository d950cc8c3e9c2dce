"""What is left of a Slurm job's time, and a job that goes back into its queue; Slurm's commands are stand-ins here."""

import os

import pytest

from darkroom.machine.allotment.time_limit import begin_again, seconds_left

JOB = {"SLURM_JOB_ID": "17"}


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Lets a test say what squeue answers; what scontrol was asked for is in `asked`."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    asked = tmp_path / "asked"

    def answer(squeue: str, scontrol: int = 0):
        for name, line in {"squeue": f'echo "{squeue}"', "scontrol": f'echo "$*" >>{asked}; exit {scontrol}'}.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
            (tmp_path / name).chmod(0o755)
        return asked

    return answer


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("59", None), ("1:30", 90), ("2:00:05", 7205), ("1-00:00:01", 86401), ("UNLIMITED", None), ("INVALID", None)],
)
def test_what_is_left_is_what_squeue_says(slurm, said, seconds):
    slurm(said)
    assert seconds_left(JOB) == seconds


def test_outside_of_a_job_and_without_slurm_nobody_can_tell(slurm, monkeypatch, tmp_path):
    slurm("1:30")
    assert seconds_left({}) is None
    assert not begin_again({})
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert seconds_left(JOB) is None


def test_a_job_at_work_goes_back_into_its_queue(slurm):
    asked = slurm("RUNNING")
    assert begin_again(JOB)
    assert asked.read_text() == "update JobId=17 Requeue=1\nrequeue 17\n"


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED", "TIMEOUT", ""])
def test_a_job_that_somebody_cancelled_or_whose_time_is_over_does_not(slurm, state):
    asked = slurm(state)
    assert not begin_again(JOB)
    assert not asked.exists()


def test_where_slurm_refuses_it_does_not(slurm):
    slurm("RUNNING", scontrol=1)
    assert not begin_again(JOB)
