"""What Snakemake's rules call, when somebody ends it."""

import argparse
import signal

import pytest

from darkroom.cli.rules import as_job


def test_sigterm_ends_a_job_as_ctrl_c_does() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(KeyboardInterrupt):
            as_job(lambda options: signal.raise_signal(signal.SIGTERM), argparse.Namespace())
    finally:
        signal.signal(signal.SIGTERM, before)
