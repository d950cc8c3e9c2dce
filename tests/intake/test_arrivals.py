"""What a trainer has written since one last looked: no checkpoint before it is whole and at rest."""

from pathlib import Path

import numpy as np
import pytest
from tests.examples.job_folder import ADAPTER, MS, job_config, touch, write_checkpoint, write_job, write_sample

from darkroom.intake.arrivals import Arrivals, Arrived

JOB = Path("output/my_job")
GREY = np.full((64, 64, 3), 128, np.uint8)


@pytest.fixture(autouse=True)
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job with the checkpoint of step 250, and its first sample."""
    monkeypatch.chdir(tmp_path)
    return write_job(JOB, job_config(), {(250, 0): GREY}, {250: ADAPTER})


def test_what_is_there_at_first_is_no_arrival(job: Path) -> None:
    arrivals = Arrivals(job)
    assert [bool(arrivals.since()) for _ in range(3)] == [False, False, False]


def test_a_checkpoint_arrives_once_when_two_looks_are_alike(job: Path) -> None:
    arrivals, new = Arrivals(job), job / "my_job_000000500.safetensors"
    write_checkpoint(new, ADAPTER, 500)
    assert [arrivals.since() for _ in range(3)] == [Arrived(), Arrived(checkpoints=(new,)), Arrived()]


def test_a_half_written_one_is_none_however_long_it_rests(job: Path) -> None:
    arrivals, new = Arrivals(job), job / "my_job_000000500.safetensors"
    new.write_bytes(ADAPTER.read_bytes()[:-100])
    assert not any(arrivals.since() for _ in range(3))
    new.write_bytes(ADAPTER.read_bytes())
    assert [arrivals.since().checkpoints for _ in range(2)] == [(), (new,)]


def test_one_that_was_written_again_arrives_again(job: Path) -> None:
    arrivals, there = Arrivals(job), job / "my_job_000000250.safetensors"
    touch(there, MS + 10**8)
    assert [arrivals.since().checkpoints for _ in range(2)] == [(), (there,)]


def test_samples_arrive_together_when_no_more_of_them_come(job: Path) -> None:
    arrivals = Arrivals(job)
    first = write_sample(job, 500, 0, GREY, ms=MS + 10**7)
    assert not arrivals.since()
    second = write_sample(job, 500, 1, GREY, ms=MS + 10**7 + 1)
    assert not arrivals.since()
    assert arrivals.since() == Arrived(samples=(first, second))


def test_a_folder_without_samples_is_one_too(job: Path) -> None:
    bare = job.parent / "other"
    bare.mkdir()
    arrivals = Arrivals(bare)
    write_checkpoint(bare / "a_000000100.safetensors", ADAPTER, 100)
    assert [len(arrivals.since().checkpoints) for _ in range(2)] == [0, 1]
