"""Jobs and workers end with their Snakemake, and what a killed run has left is swept by the next one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.machine.waiting import PATIENCE

from darkroom.errors import WorkerError
from darkroom.machine.allotment.cluster_job import cluster_job
from darkroom.render.worker.owner import adopt_jobs, is_alone, latency
from darkroom.render.worker.owner import owner as owner_here
from darkroom.render.worker.slot import Slot, private_folder, sweep

FOLLOW = """\
import sys, time
from darkroom.render.worker.owner import end_with
end_with(int(sys.argv[1]), lambda: print("cleaned up", flush=True))
print("at work", flush=True)
time.sleep(600)
"""


def test_a_job_ends_with_its_owner_however_that_ends():
    owner = subprocess.Popen(["sleep", "infinity"])
    job = subprocess.Popen([sys.executable, "-c", FOLLOW, str(owner.pid)], stdout=subprocess.PIPE, text=True)
    assert job.stdout is not None
    assert job.stdout.readline() == "at work\n"
    owner.kill()  # and nobody waits for it yet: it is a zombie
    assert job.communicate(timeout=PATIENCE)[0] == "cleaned up\n"
    owner.wait()


def test_the_folder_of_a_killed_run_is_swept_and_that_of_one_at_work_stays():
    with subprocess.Popen(["sleep", "infinity"]) as killed:
        left, mine = private_folder(killed.pid), private_folder(os.getpid())
        (left / "0.sock").touch()
        sweep()
        assert left.exists()
        killed.kill()
    sweep()
    assert not left.exists()
    assert mine.exists()
    mine.rmdir()


def test_the_folder_of_an_earlier_process_with_the_same_number_is_another_one():
    mine = private_folder(os.getpid())
    pid, start, place = mine.name.split("-")
    earlier = mine.with_name(f"{pid}-{int(start) - 1}-{place}")
    mine.rename(earlier)
    sweep()
    assert not earlier.exists()


def test_another_machine_s_folder_in_the_same_tmpdir_stays_though_no_such_process_is_here():
    mine = private_folder(os.getpid())
    theirs = mine.with_name(f"{2**22}-1-{'0' * 8}")
    mine.rename(theirs)
    sweep()
    assert theirs.exists()
    theirs.rmdir()


@pytest.mark.parametrize(
    ("environment", "device", "name"),
    [
        ({}, None, "node1"),
        ({"SLURM_JOB_ID": "17"}, None, "node1-job17"),
        ({"LSB_JOBID": "9"}, "GPU-4f1c", "node1-job9-gpu2"),
    ],
)
def test_a_worker_s_log_is_named_by_machine_job_and_gpu(environment, device, name):
    assert Slot(4711, 2, device, Path("/tmp"), "node1", cluster_job(environment)).name == name


def test_a_job_of_a_cluster_knows_that_its_snakemake_runs_no_other(monkeypatch):
    for name in ("DARKROOM_OWNER", "DARKROOM_LATENCY", "DARKROOM_JOB_ALONE", "PATH", "PYTHONSAFEPATH"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    adopt_jobs(["snakemake", "--cores", "1"], is_main=True)
    assert "PYTHONOPTIMIZE" not in os.environ, "transformers reads docstrings"
    assert (owner_here(), latency(), is_alone()) == (os.getpid(), 5.0, False)
    adopt_jobs(["snakemake", "--cores", "1", "--latency-wait", "60", "--target-jobs", "render:"], is_main=False)
    assert (latency(), is_alone()) == (60.0, True)


@pytest.mark.parametrize("value", ["abc", "-1", "1.5", "٣", "99999999999"])
def test_what_is_no_process_owns_nothing(monkeypatch, value):
    monkeypatch.setenv("DARKROOM_OWNER", value)
    with pytest.raises(WorkerError, match=f"^DARKROOM_OWNER: expected the process id of .*, got {value}; unset it$"):
        owner_here()


@pytest.mark.parametrize(("value", "found"), [("", None), ("4711", 4711)])
def test_nobody_owns_a_command_or_a_process_does(monkeypatch, value, found):
    monkeypatch.setenv("DARKROOM_OWNER", value)
    assert owner_here() == found
