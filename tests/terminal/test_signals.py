"""How Snakemake's process hears of signals that end a run."""

import os
import signal
import sys

from tests.machine.waiting import PATIENCE

from darkroom.terminal.snakemake import Snakemake

SLEEPER = [sys.executable, "-c", f"import time; print('sleeps', flush=True); time.sleep({PATIENCE})"]


def test_sigterm_ends_a_run_that_was_started_in_the_background_where_ctrl_c_is_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for `darkroom run demo &` in a script
    try:
        with Snakemake(SLEEPER) as process:
            while process.goes_on(0.05) and not process.printed:
                pass
            os.kill(os.getpid(), signal.SIGTERM)
            while process.goes_on(0.05):
                pass
            assert process.status == 128 + signal.SIGTERM
            assert "KeyboardInterrupt" in process.last_words(), "it was told to stop, not killed"
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
