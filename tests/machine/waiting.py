"""Waits for what other processes do: for the event, not for a time, so that a busy machine changes nothing."""

import subprocess
import time
from collections.abc import Callable
from typing import Any

PATIENCE = 900  # seconds after which something hangs; no test expects anything to be quick


def wait_for(condition: Callable[[], Any], what: str, run: subprocess.Popen[bytes] | None = None) -> Any:
    """The first true value of `condition`, asked again and again; a failure once `run` has ended without it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        ended = run is not None and run.poll() is not None
        if value := condition():
            return value
        assert not ended, f"the run ended before there was {what}"
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what}"
        time.sleep(0.02)
