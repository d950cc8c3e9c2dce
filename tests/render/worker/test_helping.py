"""When a device is asked to help with another one's combination, and when it is let go."""

import contextlib
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.machine.waiting import wait_for

from darkroom.render.job import Help, Job
from darkroom.render.progress import Progress
from darkroom.render.worker.channel import Channel
from darkroom.render.worker.helping import Helpers, Sharing, helped
from darkroom.render.worker.message import Message, Stop, Stopped
from darkroom.render.worker.slot import Slot, hold, private_folder, slots, take

ME = os.getpid()
KLEIN = "results/a/checkpoints/klein.json"
JOB = Job(
    directory=Path("/home/anna"),
    requests=Path("requests.json"),
    checkpoint=Path(KLEIN),
    records=Path("records.parquet"),
    results=Path("results"),
    store=Path("results/store"),
)
AT_ONCE = Sharing(idle=0.0, worth=0.0)
FOUR_LEFT = Progress("a", "klein / none / cats", done=6, total=10, seconds_per_image=2.0)


class Workers:
    """The other ends of what is connected, by the number of the device."""

    def __init__(self, ends: contextlib.ExitStack) -> None:
        self._ends = ends
        self.channels: dict[int, Channel] = {}

    def connect(self, device: Slot) -> socket.socket:
        ours, theirs = socket.socketpair()
        self.channels[device.number] = Channel(self._ends.enter_context(theirs))
        return ours

    def asked(self, number: int) -> Message | None:
        wait_for(lambda: number in self.channels, "a device that is asked")
        return self.channels[number].receive()


@pytest.fixture(autouse=True)
def devices(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Slot]]:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    yield slots(ME)
    shutil.rmtree(private_folder(ME))


@pytest.fixture
def workers(devices: list[Slot]) -> Iterator[Workers]:
    with contextlib.ExitStack() as ends:
        yield Workers(ends)
    wait_for(lambda: is_free(devices[1]), "the device to be free")


@contextlib.contextmanager
def helping(workers: Workers, sharing: Sharing = AT_ONCE) -> Iterator[Helpers]:
    with hold(ME, base=KLEIN) as held, helped(held, JOB, KLEIN, workers.connect, sharing) as helpers:
        yield helpers


def hold_for_a_moment() -> None:
    with hold(ME, base="results/a/checkpoints/zimage.json"):
        pass


def is_free(device: Slot) -> bool:
    if lock := take(device):
        lock.close()
    return lock is not None


def test_a_device_that_is_free_helps_until_the_job_ends(devices: list[Slot], workers: Workers) -> None:
    with helping(workers) as helpers:
        helpers.hear(FOUR_LEFT)
        assert workers.asked(1) == Help(**vars(JOB))
        assert not is_free(devices[1])
    assert workers.asked(1) is None, "its connection ends, by which its worker knows"


def test_a_busy_device_is_not_asked_and_one_for_which_a_job_waits_is_let_go(
    devices: list[Slot], workers: Workers
) -> None:
    busy = take(devices[1])
    assert busy
    with helping(workers) as helpers:
        helpers.hear(FOUR_LEFT)
        assert not threading.Event().wait(0.3)  # some looks long
        assert workers.channels == {}
        busy.close()
        assert workers.asked(1) == Help(**vars(JOB))
        waiting = threading.Thread(target=hold_for_a_moment)
        waiting.start()
        assert workers.asked(1) == Stop()
        assert waiting.is_alive(), "until the picture in hand is finished"
        workers.channels[1].send(Stopped("told to end"))
        waiting.join()


def test_a_device_that_would_have_to_load_the_base_is_asked_where_it_is_worth_it(
    devices: list[Slot], workers: Workers
) -> None:
    with helping(workers, Sharing(idle=0.0, worth=60.0)) as helpers:
        helpers.hear(FOUR_LEFT)  # 8 seconds
        assert not threading.Event().wait(0.3)
        assert workers.channels == {}
        devices[1].socket.touch()
        devices[1].note(KLEIN)
        assert workers.asked(1) == Help(**vars(JOB))
