"""A shard that is told to end in the last picture of a combination; the worker, and Slurm's commands, are stand-ins.

A cluster's own Slurm, real workers and whole runs: tests/cluster/test_faults.py.
"""

import contextlib
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.examples.record import REQUEST, record
from tests.machine.waiting import wait_for

from darkroom.errors import StoppedError
from darkroom.files.weight_file import sha256_of
from darkroom.job_errors import read_member_errors
from darkroom.names import Names
from darkroom.planned import PlannedCombination, Shard
from darkroom.record.rows import write_records
from darkroom.render.job import Job, pictures_of
from darkroom.render.progress import Progress
from darkroom.render.worker.channel import Channel
from darkroom.render.worker.message import Done, Failed, Stop
from darkroom.render.worker.shard import render_shard
from darkroom.render.worker.slot import private_folder, slots
from darkroom.store import ExperimentFolder, Store
from darkroom.written import Written

ME = os.getpid()
CATS, DOGS = Names("klein", "none", "cats"), Names("klein", "none", "dogs")
Acting = Callable[[Channel, Job], None]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ExperimentFolder]:
    """Of two combinations of one picture, in a cluster's job without a time limit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name, value in {"OWNER": str(ME), "JOB_ALONE": "yes"}.items():
        monkeypatch.setenv(f"DARKROOM_{name}", value)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    slurm("UNLIMITED")
    folder = ExperimentFolder(Path("results/demo"))
    for seed, names in enumerate((CATS, DOGS)):
        request = replace(REQUEST, sampling=replace(REQUEST.sampling, seed=seed))
        output = {"format": "png", "quality": 95}
        planned = PlannedCombination(asked="", lost="", output=output, lora_merge="auto", requests=(request,))
        planned.write(folder.requests(names))
    yield folder
    shutil.rmtree(private_folder(ME))


def slurm(left: str) -> None:
    """Stand-ins for its commands: a job at work that has so much time left, and goes back into its queue."""
    squeue = f'case "$*" in *%L*) echo {left};; *) echo RUNNING;; esac'
    for name, line in {"squeue": squeue, "scontrol": 'echo "$*" >>asked'}.items():
        Path(name).write_text(f"#!/bin/sh\n{line}\n")
        Path(name).chmod(0o755)


@contextlib.contextmanager
def worker(acting: Acting) -> Iterator[list[str]]:
    """A stand-in that acts on each job, one after the other; which it was asked for."""
    asked: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        (device,) = slots(ME)
        listening.bind(str(device.socket))
        listening.listen()

        def serve() -> None:
            while True:
                with listening.accept()[0] as connection:
                    channel = Channel(connection)
                    job = channel.receive()
                    if not isinstance(job, Job):
                        return
                    asked.append(job.requests.stem)
                    acting(channel, job)

        serving = threading.Thread(target=serve)
        serving.start()
        try:
            yield asked
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as last:  # who asks for nothing
                last.connect(str(device.socket))
            serving.join()
            device.socket.unlink()


def finish(channel: Channel, job: Job) -> None:
    """The job's picture and its records are there."""
    (picture,) = pictures_of(job.requests, Store(job.store))
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(b"a picture")
    write_records(job.records, [record(loras=())], {"experiment": "demo"})
    written = Written(sha256_of(job.requests), job.records.stat().st_size, {})
    written.write(ExperimentFolder(Path("results/demo")).written(Names("klein", "none", job.requests.stem)))
    channel.send(Done())


def told_by_its_limit(channel: Channel, job: Job) -> None:
    """A picture takes longer than there is: said with the last one in hand, and again once it is there."""
    late = Progress("demo", job.requests.stem, done=0, total=2, seconds_per_image=10_000.0)
    channel.send(late)
    assert channel.receive() == Stop()
    channel.send(late)
    time.sleep(0.1)  # in which another SIGTERM would end the process
    finish(channel, job)


def told_by_the_cluster(channel: Channel, job: Job) -> None:
    """With the last picture in hand."""
    wait_for(lambda: getattr(signal.getsignal(signal.SIGTERM), "__self__", None) is None, "a client that passes it on")
    os.kill(ME, signal.SIGTERM)
    assert channel.receive() == Stop()
    finish(channel, job)


def rendered(folder: ExperimentFolder, *members: Names) -> None:
    job = Job(
        directory=Path.cwd(),
        requests=Path(),
        checkpoint=folder.checkpoint("klein"),
        records=Path(),
        results=Path("results"),
        store=Path("results/store"),
    )
    shard = Shard("klein", "000", members, images=len(members), seconds=1.0)
    render_shard(shard, folder, "now", job, Path("logs"), {}, patience=0.0)


@pytest.mark.parametrize(
    ("left", "told"),
    [("2:00:00", told_by_its_limit), ("UNLIMITED", told_by_the_cluster)],
)
def test_a_shard_that_is_told_in_the_last_picture_of_a_combination_ends_behind_it_and_begins_again(
    folder: ExperimentFolder, left: str, told: Acting
) -> None:
    slurm(left)
    with worker(told) as asked, pytest.raises(StoppedError, match=r"^told to end between two combinations: "):
        rendered(folder, CATS, DOGS)
    assert asked == ["cats"]
    assert Path("asked").read_text() == "update JobId=17 Requeue=1\nrequeue 17\n"
    assert folder.staged("now").records(CATS).is_file(), "what is finished stays"
    with worker(finish) as asked:
        rendered(folder, CATS, DOGS)
    assert asked == ["dogs"]


def test_a_shard_that_is_told_in_its_very_last_picture_is_done(folder: ExperimentFolder) -> None:
    with worker(told_by_the_cluster):
        rendered(folder, CATS)
    assert read_member_errors(folder.shard("now", "klein", "000")) == {}
    assert not Path("asked").exists()


def test_a_file_of_requests_that_is_unreadable_costs_its_own_combination(folder: ExperimentFolder) -> None:
    folder.requests(CATS).write_text("{")

    def act(channel: Channel, job: Job) -> None:
        finish(channel, job) if job.requests.stem == "dogs" else channel.send(Failed("unreadable"))

    with worker(act) as asked:
        rendered(folder, CATS, DOGS)
    assert asked == ["cats", "dogs"]
    errors = read_member_errors(folder.shard("now", "klein", "000"))
    assert {names: error.text for names, error in errors.items()} == {CATS: "unreadable"}


def test_what_an_earlier_attempt_made_of_other_files_is_rendered_again_and_never_fetched(
    folder: ExperimentFolder,
) -> None:
    with worker(finish):
        rendered(folder, CATS, DOGS)
    for names in (CATS, DOGS):  # by another attempt at planning
        planned = PlannedCombination.read(folder.requests(names))
        replace(planned, lora_merge="live").write(folder.requests(names))

    def act(channel: Channel, job: Job) -> None:
        finish(channel, job) if job.requests.stem == "dogs" else channel.send(Failed("its LoRA is damaged by now"))

    with worker(act) as asked:
        rendered(folder, CATS, DOGS)
    assert asked == ["cats", "dogs"]
    assert [folder.staged("now").records(names).exists() for names in (CATS, DOGS)] == [False, True]
