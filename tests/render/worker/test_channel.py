"""Messages through a socket: whole ones, one after the other, and what is too slow, too long or too short."""

import contextlib
import select
import socket
from collections.abc import Iterator
from threading import Thread

import pytest

from darkroom.errors import WorkerError
from darkroom.render.worker.channel import Channel
from darkroom.render.worker.message import LONGEST, Done, Failed, Prewarm, encode

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_messages_that_arrive_together_or_in_parts_come_out_one_by_one(
    ends: Ends,
) -> None:
    one, other = ends
    channel = Channel(one)
    other.sendall(encode(Failed("first")) + encode(Failed("second")) + encode(Done())[:5])
    assert [channel.receive(), channel.receive()] == [Failed("first"), Failed("second")]
    other.sendall(encode(Done())[5:])
    assert channel.receive() == Done()
    assert not channel.is_closed()


def test_one_who_ends_within_a_message_has_sent_none(ends: Ends) -> None:
    one, other = ends
    other.sendall(encode(Prewarm("flux2"))[:-1])
    other.close()
    assert Channel(one).receive() is None
    assert Channel(one).is_closed()


@pytest.mark.parametrize("sent", [b"", b'{"prewarm": {"fam'])
def test_one_who_is_silent_is_not_waited_for(ends: Ends, sent: bytes) -> None:
    one, other = ends
    other.sendall(sent)
    with pytest.raises(WorkerError, match=r"^message: expected a whole one within 0\.05 seconds$"):
        Channel(one).receive(seconds=0.05)


def test_one_who_sends_a_byte_now_and_then_is_not_waited_for(ends: Ends) -> None:
    one, other = ends

    def drip() -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while not select.select([other], [], [], 0.01)[0]:  # until the other end is closed
                other.sendall(b"x")

    dripping = Thread(target=drip)
    dripping.start()
    with pytest.raises(WorkerError, match=r"^message: expected a whole one within 0\.2 seconds$"):
        Channel(one).receive(seconds=0.2)
    one.close()
    dripping.join()


@pytest.mark.parametrize("sent", [b"x" * (LONGEST + 1), b"x" * (LONGEST + 1) + b"\n"])
def test_what_is_too_long_is_not_read_to_its_end(ends: Ends, sent: bytes) -> None:
    one, other = ends
    sending = Thread(target=other.sendall, args=(sent,))
    sending.start()
    with pytest.raises(WorkerError, match="expected at most 1048576 bytes before the end of its line, got more"):
        Channel(one).receive()
    sending.join()
