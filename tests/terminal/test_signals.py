"""How Snakemake's process hears that a run is to end."""

import os
import signal
import sys
from pathlib import Path

import pytest
from tests.machine.waiting import PATIENCE

from darkroom.terminal.snakemake import Snakemake

SLEEPER = f"""
import pathlib, time
try:
    print('at work', flush=True)
    time.sleep({PATIENCE})
except KeyboardInterrupt:
    pathlib.Path('page').touch()
"""


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Of a process that works on, and makes a page when it is told to stop."""
    monkeypatch.chdir(tmp_path)
    return [sys.executable, "-c", SLEEPER]


def test_sigterm_ends_a_run_that_was_started_in_the_background_where_ctrl_c_is_ignored(line: list[str]) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for `darkroom run demo &` in a script
    try:
        with Snakemake(line) as process:
            _wait_until_at_work(process)
            os.kill(os.getpid(), signal.SIGTERM)
            while process.goes_on(0.05):
                pass
            assert process.status == 128 + signal.SIGTERM
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert Path("page").exists()


def test_a_run_that_nobody_reads_on_ends_in_order(line: list[str]) -> None:
    def read_by_head() -> None:
        with Snakemake(line) as process:
            _wait_until_at_work(process)
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        read_by_head()
    assert Path("page").exists()


def test_one_that_the_system_kills_has_the_status_that_a_shell_gives_it() -> None:
    with Snakemake([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]) as process:
        while process.goes_on(0.05):
            pass
        assert process.status == 137


def _wait_until_at_work(process: Snakemake) -> None:
    while process.goes_on(0.05) and not process.printed:
        pass


def test_a_run_whose_log_cannot_be_written_goes_on_and_says_so() -> None:
    with Snakemake([sys.executable, "-c", "print('at work')"]) as process:
        process.log_to(Path("/dev/full"))
        while process.goes_on(0.1):
            pass
    assert process.status == 0
    assert process.log_lacks == ["/dev/full: not all of it could be written: No space left on device"]
