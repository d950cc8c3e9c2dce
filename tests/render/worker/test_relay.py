"""A worker that runs elsewhere: what starts it, what is handed on to it, and that it ends with whoever started it."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.machine.sshd import sshd
from tests.machine.waiting import PATIENCE, wait_for
from tests.render.bench import Bench, MakeRequest

from darkroom.errors import WorkerError
from darkroom.render.job import EncodeJob
from darkroom.render.worker.channel import Channel, Streams
from darkroom.render.worker.message import Begin, Done, Message, Progress
from darkroom.render.worker.relay import COMMAND
from darkroom.render.worker.slot import launchers_of, private_folder
from darkroom.telling.worker_state import worker_states

LEASED = (
    "import sys, time; from darkroom.render.worker.line import Line; Line(0, 1, lambda: None, 0.2); time.sleep(600)"
)


@pytest.mark.parametrize(
    ("text", "launchers"),
    [
        ("here", []),
        ("ssh node1", [("ssh", "node1")]),
        ("2 * srun --gpus=1", [("srun", "--gpus=1")] * 2),
        ("ssh -J 'a gate' node1; 1*ssh node2;", [("ssh", "-J", "a gate", "node1"), ("ssh", "node2")]),
    ],
)
def test_a_launcher_is_a_command_or_several_and_each_some_times(text, launchers):
    assert launchers_of(text) == launchers


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 * ssh node1", r"expected a command, or 1 to 1024 times one \(3 \* srun\), got '0 \* ssh node1'"),
        ("3 *", r"got '3 \*'"),
        ("ssh 'node1", 'expected a command, got "ssh \'node1": No closing quotation'),
    ],
)
def test_what_is_no_launcher_is_refused_with_what_would_be(text, said):
    with pytest.raises(WorkerError, match=f"^launcher: .*{said}"):
        launchers_of(text)


def test_a_worker_whose_lease_nobody_renews_ends_though_its_stream_is_open():
    with subprocess.Popen([sys.executable, "-c", LEASED], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as worker:
        assert worker.wait(PATIENCE) == 0
        assert worker.stderr is not None
        assert b"nothing more can be heard: message: expected a whole one within 0.2 seconds" in worker.stderr.read()


def test_a_worker_of_whose_streams_nobody_has_an_end_any_more_ends():
    with subprocess.Popen([sys.executable, "-c", LEASED], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as worker:
        assert worker.stderr is not None
        worker.stderr.close()  # as when sshd is gone
        assert worker.wait(PATIENCE) == 0


@contextlib.contextmanager
def relayed(log: Path, launcher: str) -> Iterator[Path]:
    """The socket of a relay, which ends with its owner, and so does what it has started."""
    with subprocess.Popen(["sleep", "infinity"]) as owner, log.open("wb") as file:
        path = private_folder(owner.pid) / "0.sock"
        arguments = ["relay", str(path), "--owner", str(owner.pid), "--log", str(log), "--launcher", launcher]
        with subprocess.Popen([sys.executable, "-m", "darkroom", "rule", *arguments], stderr=file) as relay:
            try:
                wait_for(path.exists, "the relay's socket", relay)
                yield path
                started = psutil.Process(relay.pid).children(recursive=True)
                assert started
            finally:
                owner.kill()
            assert relay.wait(PATIENCE) == 0
            _, left = psutil.wait_procs(started, PATIENCE)
            assert left == [], "it ends with its owner, wherever it runs"
    assert not path.parent.exists()


def test_a_launcher_that_there_is_not_is_told_in_a_sentence(tmp_path: Path) -> None:
    socket_path = private_folder(os.getpid()) / "no launcher.sock"
    log = ["--log", str(tmp_path / "worker.log")]
    arguments = ["relay", str(socket_path), "--owner", str(os.getpid()), *log, "--launcher", "nope --gpus=1"]
    command = [sys.executable, "-P", "-m", "darkroom", "rule", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stderr.splitlines()[-1]
    assert (done.returncode, said) == (1, "darkroom: launcher: nope cannot be started: No such file or directory")
    assert not socket_path.exists()


@contextlib.contextmanager
def connected(path: Path) -> Iterator[Channel]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        yield Channel(connection)


def answers(channel: Channel) -> list[Message]:
    found = []
    while answer := channel.receive():
        found.append(answer)
    return found


AT_ONCE = """\
import os, sys
from darkroom.render.progress import Progress
from darkroom.render.worker.message import Done, encode
answers = [Progress("demo", "cats", 1, 2, None), Progress("demo", "cats", 2, 2, 4.0), Done()]
for line in sys.stdin:
    if "encodejob" in line:
        os.write(1, b"".join(map(encode, answers)))
"""


def test_answers_that_come_all_at_once_are_handed_on_one_by_one(tmp_path: Path) -> None:
    """As they do when a network is there again."""
    (tmp_path / "worker.py").write_text(AT_ONCE)
    job = EncodeJob(directory=tmp_path, model=Path("model"), checkpoint=Path("checkpoint"), store=Path("store"))
    with relayed(tmp_path / "launched0.log", f"{sys.executable} {tmp_path}/worker.py") as path:
        for _ in range(2):
            with connected(path) as channel:
                channel.send(job)
                assert [channel.receive() for _ in range(3)] == [
                    Progress("demo", "cats", 1, 2, None),
                    Progress("demo", "cats", 2, 2, 4.0),
                    Done(),
                ]


@pytest.mark.slow
def test_a_job_goes_through_a_relay_and_one_that_nobody_waits_for_any_more_is_left(
    bench: Bench, make_request: MakeRequest, tmp_path: Path
) -> None:
    """`env -i` is what `ssh` would be: another process, with little of this one's environment."""
    needed = " ".join(f"{name}={os.environ[name]}" for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ)
    long = bench.write(*(bench.request(make_request, seed=seed, sample_steps=40) for seed in (1, 2, 3)))
    with relayed(tmp_path / "launched0.log", f"env -i {needed}") as path:
        with connected(path) as channel:
            channel.send(long)
            assert isinstance(channel.receive(), Progress)
        with connected(path) as channel:
            channel.send(bench.write(bench.request(make_request)))
            *progress, end = answers(channel)
        assert ([type(each) for each in progress], end) == ([Progress, Progress], Done())
        (row,) = bench.records()
        assert row["host"] == os.uname().nodename
        (state,) = wait_for(lambda: list(worker_states(tmp_path)), "the worker's word on what it does")
        assert state.mark.startswith(f"{row['worker_pid']}-")
    assert len(list(bench.store.root.rglob("*.png"))) < 3


@pytest.mark.slow
def test_a_worker_behind_ssh_ends_when_the_stream_does(tmp_path: Path) -> None:
    with (
        sshd(tmp_path) as (_, ssh),
        subprocess.Popen(
            [*ssh, *COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as worker,
    ):
        assert worker.stdin is not None
        assert worker.stdout is not None
        Channel(Streams(worker.stdout.fileno(), worker.stdin.fileno())).send(Begin(tmp_path / "launched0.log"))
        _, said = worker.communicate(timeout=PATIENCE)  # which closes its stdin first
    assert worker.returncode == 0
    assert b"the other end is gone, so worker " in said
