"""What is left of a Slurm job's time, and a job that goes back into its queue; Slurm's commands are stand-ins here."""

import os

import pytest

from darkroom.machine.allotment.time_limit import begin_again, seconds_left

JOB = {"SLURM_JOB_ID": "17"}


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Lets a test say what squeue answers, and which of the two fails; what scontrol was asked for is in `asked`."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    asked = tmp_path / "asked"

    def answer(squeue: str, failing: str = ""):
        for name, line in {"squeue": f'echo "{squeue}"', "scontrol": f'echo "$*" >>{asked}'}.items():
            refusal = "echo 'unable to contact slurm controller' >&2; exit 1"
            (tmp_path / name).write_text(f"#!/bin/sh\n{refusal if name == failing else line}\n")
            (tmp_path / name).chmod(0o755)
        return asked

    return answer


@pytest.fixture
def told():
    return []


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("59", None), ("1:30", 90), ("2:00:05", 7205), ("1-00:00:01", 86401), ("UNLIMITED", None), ("INVALID", None)],
)
def test_what_is_left_is_what_squeue_says(slurm, told, said, seconds):
    slurm(said)
    assert seconds_left(told.append, JOB) == seconds
    assert told == []


def test_outside_of_a_job_there_is_nothing_to_tell(slurm, told):
    slurm("1:30")
    assert seconds_left(told.append, {}) is None
    assert not begin_again(told.append, {})
    assert told == []


def test_where_slurm_does_not_answer_or_is_not_there_nobody_knows_and_it_is_said(slurm, told, monkeypatch, tmp_path):
    unknown = "when this job's time is up is not known: at its end the picture in hand is lost"
    slurm("1:30", failing="squeue")
    assert seconds_left(told.append, JOB) is None
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert seconds_left(told.append, JOB) is None
    assert told == [
        f"warning: squeue: unable to contact slurm controller; {unknown}",
        f"warning: squeue: cannot be started: No such file or directory; {unknown}",
    ]


def test_a_job_at_work_goes_back_into_its_queue(slurm, told):
    asked = slurm("RUNNING")
    assert begin_again(told.append, JOB)
    assert told == []
    assert asked.read_text() == "update JobId=17 Requeue=1\nrequeue 17\n"


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED", "TIMEOUT", ""])
def test_a_job_that_somebody_cancelled_or_whose_time_is_over_does_not(slurm, told, state):
    asked = slurm(state)
    assert not begin_again(told.append, JOB)
    assert told == []
    assert not asked.exists()


@pytest.mark.parametrize("failing", ["squeue", "scontrol"])
def test_where_slurm_refuses_or_does_not_answer_it_does_not_and_it_is_said(slurm, told, failing):
    slurm("RUNNING", failing=failing)
    assert not begin_again(told.append, JOB)
    refused = "the job does not go back into its queue: it fails, and another attempt goes on"
    assert told == [f"warning: {failing}: unable to contact slurm controller; {refused}"]
