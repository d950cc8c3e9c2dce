"""Who comes in to a worker, who is heard, and who is next. No torch, no worker."""

import contextlib
import os
import select
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.machine.waiting import PATIENCE

from darkroom.errors import WorkerError
from darkroom.render.worker.channel import Channel
from darkroom.render.worker.door import MOST_OPEN, Door, user_of
from darkroom.render.worker.message import Done, Failed, Prewarm, encode


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # a socket's whole name may have 107 bytes
        yield Path(folder) / "0.sock"


@contextlib.contextmanager
def connected(place: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(place))
        yield connection


def test_the_kernel_says_whose_process_the_peer_is() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert user_of(one) == os.getuid()


def test_another_user_is_sent_away_unheard(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Door(place, PATIENCE, user=os.getuid() + 1)
    with connected(place) as connection:
        assert connection.recv(1) == b""
    said = f"a process of user {os.getuid()} was sent away: this worker is user {os.getuid() + 1}'s\n"
    assert capfd.readouterr().err.endswith(said)


def test_silent_peers_hold_up_nobody(place: Path) -> None:
    door = Door(place, PATIENCE, os.getuid())
    with contextlib.ExitStack() as opened:
        for part in (b"", b'{"prewarm"', b"x" * 100_000):
            opened.enter_context(connected(place)).sendall(part)
        opened.enter_context(connected(place)).sendall(encode(Prewarm("flux2")))
        caller = door.next_caller()
        with caller.connection:
            assert caller.message == Prewarm("flux2")


def test_the_one_silent_longest_makes_room_for_the_next(place: Path) -> None:
    Door(place, PATIENCE, os.getuid())
    with contextlib.ExitStack() as opened:
        first, *_ = [opened.enter_context(connected(place)) for _ in range(MOST_OPEN)]
        first.settimeout(0.05)
        with pytest.raises(TimeoutError):
            first.recv(1)  # there is room for all of them
        opened.enter_context(connected(place))
        first.settimeout(PATIENCE)
        assert first.recv(1) == b""


def test_who_asks_while_as_many_wait_as_may_is_told(place: Path) -> None:
    Door(place, PATIENCE, os.getuid())
    with contextlib.ExitStack() as opened:
        asking = [opened.enter_context(connected(place)) for _ in range(MOST_OPEN + 1)]
        for each in asking:
            each.sendall(encode(Prewarm("flux2")))
        (answered,), _, _ = select.select(asking, [], [], PATIENCE)
        assert Channel(answered).receive() == Failed("message: 64 others wait for this worker already")


def test_an_answer_that_nobody_takes_is_given_up(place: Path) -> None:
    door = Door(place, 0.2, os.getuid())
    with connected(place) as connection:
        connection.sendall(encode(Prewarm("flux2")))
        caller = door.next_caller()
        with caller.connection, pytest.raises(BrokenPipeError, match="does not read"):
            send_on(caller.client)


def send_on(client: Channel) -> None:
    while True:
        client.send(Done())


def test_where_no_socket_can_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkerError, match=r"0\.sock: no socket can be made there: Not a directory; set TMPDIR"):
        Door(tmp_path / "file/0.sock", PATIENCE, os.getuid())
