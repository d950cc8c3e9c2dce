"""Which device a job gets, and how it is known that one is waited for."""

import os
import shutil
import threading
from collections.abc import Iterator

import pytest
from tests.machine.waiting import wait_for

from darkroom.render.worker.slot import Slot, hold, is_waited_for, note_gone, private_folder, slots, take

ME = os.getpid()
KLEIN, ZIMAGE = "results/a/checkpoints/klein.json", "results/a/checkpoints/zimage.json"


@pytest.fixture(autouse=True)
def three_devices(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Slot]]:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    yield slots(ME)
    shutil.rmtree(private_folder(ME))


def number_for(base: str | None) -> int:
    """The device that a job of this base gets, and has rendered on when the next one comes."""
    with hold(ME, base=base) as held:
        held.socket.touch()  # as its worker has it
        return held.number


def test_a_job_goes_to_the_device_that_has_its_base_else_to_one_that_has_none() -> None:
    assert [number_for(base) for base in (KLEIN, ZIMAGE, KLEIN, ZIMAGE, None)] == [0, 1, 0, 1, 2]


def test_where_that_device_is_busy_it_goes_to_another_one() -> None:
    assert number_for(KLEIN) == 0
    with hold(ME, base=KLEIN) as held, hold(ME, base=KLEIN) as other:
        assert (held.number, other.number) == (0, 1)


def test_a_device_whose_worker_has_ended_has_nothing_loaded(three_devices: list[Slot]) -> None:
    assert [number_for(base) for base in (ZIMAGE, KLEIN)] == [0, 1]
    three_devices[1].socket.unlink()
    assert three_devices[1].base is None
    assert three_devices[0].base == ZIMAGE


def test_who_waits_for_a_device_is_seen_by_those_who_only_help(three_devices: list[Slot]) -> None:
    locks = [take(each) for each in three_devices]
    assert [take(each) for each in three_devices] == [None] * 3
    waiting = threading.Thread(target=number_for, args=(KLEIN,))
    assert not is_waited_for(private_folder(ME))
    waiting.start()
    wait_for(lambda: is_waited_for(private_folder(ME)), "somebody to wait")
    for lock in locks:
        assert lock
        lock.close()
    waiting.join()
    assert not is_waited_for(private_folder(ME))


def test_a_device_where_nobody_was_to_be_reached_is_left_alone_unless_all_are_such(three_devices: list[Slot]) -> None:
    note_gone(three_devices[0].socket)
    assert [number_for(base) for base in (KLEIN, ZIMAGE)] == [1, 2]
    for device in three_devices:
        note_gone(device.socket)
    assert number_for(None) == 0
    os.utime(three_devices[2].folder / "2.gone", (0, 0))  # long ago
    assert number_for(None) == 2
