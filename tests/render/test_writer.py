"""The threads that finish pictures: several at a time, errors in order, no more in memory than there may be."""

import threading
import time
from functools import partial

import pytest

from darkroom.errors import StoreError
from darkroom.render.writer import Writer

PATIENCE = 60.0  # seconds, after which what is waited for never comes


def test_a_slow_picture_does_not_hold_up_the_next_one():
    second_is_done = threading.Event()
    with Writer[bool]() as writer:
        first = writer.submit(partial(second_is_done.wait, PATIENCE))
        writer.submit(second_is_done.set)
    assert first.result()


def test_the_error_of_the_earlier_picture_comes_first_though_it_comes_later():
    second_failed = threading.Event()

    def first():
        assert second_failed.wait(PATIENCE)
        raise StoreError("first")

    def second():
        second_failed.set()
        raise StoreError("second")

    with Writer(waiting=2) as writer:
        writer.submit(first)
        writer.submit(second)
        with pytest.raises(StoreError, match="first"):
            writer.submit(lambda: None)


def test_no_more_pictures_are_in_memory_than_may_wait():
    may_end, held = threading.Event(), []

    def finish(number):
        assert may_end.wait(PATIENCE)
        held.remove(number)

    def give():
        for number in range(6):
            held.append(number)
            most.append(len(held))
            writer.submit(partial(finish, number))

    most, ends = [], time.monotonic() + PATIENCE
    with Writer(threads=2, waiting=3) as writer:
        giving = threading.Thread(target=give)
        giving.start()
        while len(held) < 4 and time.monotonic() < ends:
            giving.join(0.01)
        giving.join(0.1)
        assert held == [0, 1, 2, 3], "three that wait, and the one that is next"
        may_end.set()
        giving.join()
    assert (held, max(most)) == ([], 4)
