"""A worker and those who connect to it: clients, and strangers whom it survives."""

import contextlib
import json
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from tests.machine.waiting import PATIENCE, wait_for
from tests.render.bench import Bench, MakeRequest

from darkroom.render.job import Job
from darkroom.render.progress import Progress
from darkroom.render.worker.channel import Channel
from darkroom.render.worker.message import LONGEST, Done, Failed, Lost, Message, Prewarm, Stop, Stopped, encode
from darkroom.render.worker.server import LOST_DEVICE
from darkroom.render.worker.slot import private_folder

MESSAGE_SECONDS = 5.0  # that the worker waits for a message
# The same with a device that fails at the first picture's last point.
LOSE = """
import torch
from darkroom.render.device.stream import HostStream

point, given = HostStream.point, []

def failing(stream):
    given.append(stream)
    if len(given) == 4:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")
    return point(stream)

HostStream.point = failing
"""
SERVE = "import sys, pathlib, darkroom.render.worker.server as s; s.serve(pathlib.Path(sys.argv[1]), {}, {})"


@dataclass(frozen=True)
class Worker:
    """A warm worker in a process of its own, whose owner is another one."""

    process: subprocess.Popen[bytes]
    socket: Path

    @contextlib.contextmanager
    def connection(self) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(self.socket))
            yield connection

    def is_open(self) -> bool:
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError), self.connection():
            return True
        return False

    def answers(self, sent: bytes) -> list[Message]:
        """Everything that the worker says to these bytes before it closes the connection."""
        with self.connection() as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it does not read to the end
                connection.sendall(sent)
            return answers_on(connection)


def answers_on(connection: socket.socket) -> list[Message]:
    channel, answers = Channel(connection), list[Message]()
    with contextlib.suppress(ConnectionResetError):  # which is the end for those who sent more than was read
        while answer := channel.receive():
            answers.append(answer)
    return answers


@contextlib.contextmanager
def working(folder: Path, program: str, ending: int) -> Iterator[Worker]:
    """A worker that runs `program`, and ends with this status before its owner or with it."""
    owner = subprocess.Popen(["sleep", "infinity"])
    path = private_folder(owner.pid) / "0.sock"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", program.format(owner.pid, MESSAGE_SECONDS), str(path)],
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "2"},  # as of a rule with `threads: 2`
        )
    try:
        worker = Worker(process, path)
        wait_for(worker.is_open, "the worker's socket", process)
        yield worker
    finally:
        owner.kill()
        owner.wait()
        ended = process.wait(PATIENCE)
    assert ended == ending


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with working(tmp_path_factory.mktemp("worker"), SERVE, ending=0) as worker:
        yield worker
    assert not worker.socket.parent.exists(), "it ends with its owner, and leaves nothing"


@pytest.fixture
def job(bench: Bench, make_request: MakeRequest) -> Job:
    return bench.write(bench.request(make_request))


def refused(said: str) -> list[Message]:
    return [Failed(f"message: {said}")]


def test_a_job_is_answered_with_progress_and_its_end(worker: Worker, job: Job, bench: Bench) -> None:
    first, second, end = worker.answers(encode(job))
    assert first == Progress("bench", "tiny_klein / none / test", done=0, total=1, seconds_per_image=None)
    assert isinstance(second, Progress)
    assert (second.done, second.total) == (1, 1)
    assert end == Done()
    (row,) = bench.records()
    assert (row["host"], row["worker_pid"], row["threads"]) == (platform.node(), worker.process.pid, 1)


def test_a_retry_that_meets_the_same_error_is_told_so(worker: Worker, job: Job) -> None:
    lost = replace(job, requests=job.directory / "lost.json")
    text = f"{job.directory}/lost.json: missing; Snakemake with --forcerun plan writes it again"
    assert worker.answers(encode(lost)) == [Failed(text, again=False)]
    assert worker.answers(encode(lost)) == [Failed(text, again=True)]


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        (
            b"GET / HTTP/1.1\r\n\r\n",
            r"expected a line of JSON, got b'GET / HTTP/1.1\r': Expecting value: line 1 column 1 (char 0)",
        ),
        (b'{"prewarm": {"family": 7}}\n', "prewarm.family: expected str, got 7"),
        (b'{"done": {}}\n', "expected a job or a prewarm, got done"),
        (b"x" * (LONGEST + 10**6), f"expected at most {LONGEST} bytes before the end of its line, got more"),
        pytest.param(b"", f"expected a whole one within {MESSAGE_SECONDS:g} seconds", marks=pytest.mark.slow),
    ],
    ids=["another protocol", "wrong type", "an answer", "endless", "silent"],
)
def test_what_is_no_message_is_answered_with_a_sentence_and_the_end(worker: Worker, sent: bytes, answers: str) -> None:
    assert worker.answers(sent) == refused(answers)


def test_strangers_do_not_unload_what_the_worker_has_loaded(
    worker: Worker, bench: Bench, make_request: MakeRequest
) -> None:
    job = bench.write(bench.request(make_request, seed=1))
    assert worker.answers(encode(job))[-1] == Done()
    (before,) = bench.records()

    for sent in (b"not JSON\n", b'{"job": {}}\n', b"[" * 10**6 + b"\n", encode(Prewarm("flux3"))):
        (answer,) = worker.answers(sent)
        assert isinstance(answer, Failed)
    for sent in (b"", b"half a mess", encode(job)):  # and gone, without waiting
        with worker.connection() as connection:
            connection.sendall(sent)

    assert worker.answers(encode(bench.write(bench.request(make_request, seed=2))))[-1] == Done()
    (after,) = bench.records()
    assert (after["worker_pid"], after["base_load_id"]) == (worker.process.pid, before["base_load_id"])


# Bytes, lines of JSON, and messages of the right form with values of any kind in them.
_TEXTS = some.text(max_size=20)
_VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | _TEXTS,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=5,
)
_KEYS = ("directory", "requests", "checkpoint", "records", "results", "store", "offload")
_LATE = {"latency": some.just(0.0)}
_MESSAGES = some.one_of(
    some.dictionaries(some.sampled_from(("job", "prewarm", "progress", "failed", "done")), _VALUES, max_size=2),
    some.fixed_dictionaries({"job": some.fixed_dictionaries(dict.fromkeys(_KEYS, _TEXTS) | _LATE)}),
    some.fixed_dictionaries({"job": some.fixed_dictionaries(dict.fromkeys(_KEYS, _TEXTS.map("/{}".format)) | _LATE)}),
    some.fixed_dictionaries({"prewarm": some.fixed_dictionaries({"family": _VALUES})}),
)
_SENT = some.one_of(some.binary(max_size=80), _VALUES.map(json.dumps), _MESSAGES.map(json.dumps))


@settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(sent=_SENT)
def test_whatever_is_sent_is_answered_and_the_worker_lives_on(worker: Worker, sent: bytes | str) -> None:
    line = (sent.encode() if isinstance(sent, str) else sent) + b"\n"
    answers = worker.answers(line)
    assert all(isinstance(each, Failed) and "internal error" not in each.text for each in answers), answers
    assert worker.process.poll() is None


@pytest.mark.parametrize(
    ("directory", "said"),
    [
        ("results", "job.directory: expected an absolute path, got results"),
        ("/nowhere", "job.directory: /nowhere: No such file or directory"),
    ],
)
def test_a_job_of_no_folder_is_refused(worker: Worker, job: Job, directory: str, said: str) -> None:
    assert worker.answers(encode(replace(job, directory=Path(directory)))) == [Failed(said)]


def test_a_half_message_whose_sender_ends_has_no_answer(worker: Worker) -> None:
    with worker.connection() as connection:
        connection.sendall(b'{"prewarm": {"fam')
        connection.shutdown(socket.SHUT_WR)
        assert answers_on(connection) == []
    assert worker.process.poll() is None


def stopped_after_the_first(worker: Worker, job: Job, stop: Callable[[Channel], None]) -> Message | None:
    """The last answer to a job that is stopped while its first picture is in hand."""
    with worker.connection() as connection:
        channel = Channel(connection)
        channel.send(job)
        assert isinstance(channel.receive(), Progress)
        stop(channel)
        return channel.receive()


@pytest.mark.slow
def test_a_job_is_stopped_behind_the_picture_in_hand_and_so_is_the_worker_by_sigterm(
    bench: Bench, make_request: MakeRequest, tmp_path: Path
) -> None:
    requests = [bench.request(make_request, seed=seed, sample_steps=40) for seed in (1, 2, 3)]
    job = bench.write(*requests)
    text = "told to end: the picture in hand is finished, others are left for another attempt"
    with working(tmp_path, SERVE, ending=0) as worker:
        assert stopped_after_the_first(worker, job, lambda channel: channel.send(Stop())) == Stopped(text)
        assert len(list(bench.store.root.rglob("*.png"))) == 1
        assert stopped_after_the_first(worker, job, lambda _: worker.process.terminate()) == Stopped(text)
        assert worker.process.wait(PATIENCE) == 0, "though its owner lives"
    assert len(list(bench.store.root.rglob("*.png"))) == 2
    bench.render(*requests)
    assert len({row["base_load_id"] for row in bench.records()}) == 2, "what both attempts rendered keeps its cost"


@pytest.mark.slow
def test_a_worker_whose_gpu_fails_says_so_and_ends_with_a_status_of_its_own(job: Job, tmp_path: Path) -> None:
    with working(tmp_path, LOSE + SERVE, ending=LOST_DEVICE) as worker:
        *_, answer = worker.answers(encode(job))
        assert answer == Lost(
            "the GPU failed: CUDA error: unspecified launch failure; it had 000_42, which need not be the "
            "reason. Finished images are kept; a retry goes on with a fresh worker"
        )
        assert not worker.socket.exists(), "the retry finds nobody, and starts another worker"
        assert worker.process.wait(PATIENCE) == LOST_DEVICE
