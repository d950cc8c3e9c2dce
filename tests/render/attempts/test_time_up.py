"""An attempt ends while the picture in hand can still be finished: 30 s and twice its time before the limit."""

import os
import signal
import time

import pytest

from darkroom.errors import StoppedError
from darkroom.render.attempts.time_up import in_time


def test_sigterm_comes_before_the_limit():
    with pytest.raises(StoppedError, match=r"^told to end "), in_time(33.2, 1.5):
        time.sleep(60)


def test_what_a_picture_takes_is_known_once_one_is_rendered():
    with in_time(10_000, 1.0) as time_up:
        time_up.expect(None)
        time_up.expect(6_000)
        with pytest.raises(StoppedError):
            time.sleep(60)


def test_without_a_limit_nothing_ends():
    with in_time(None, 10_000) as time_up:
        time_up.expect(10_000)
        time.sleep(0.05)


def test_what_handled_signals_before_does_so_after():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGALRM)
    with pytest.raises(StoppedError), in_time(10_000, 1.0):
        os.kill(os.getpid(), signal.SIGTERM)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGALRM)) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_what_was_told_is_told_once_whatever_a_picture_takes():
    with in_time(10_000, 1.0) as time_up:
        time_up.check()
        time_up.tell()
        time_up.expect(6_000)
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        with pytest.raises(StoppedError, match=r"^told to end between two combinations: "):
            time_up.check()
