"""What Snakemake's rules call, when somebody ends it."""

import argparse
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.workflow.project import inheriting_sigint

from darkroom.cli.rules import as_job


def test_sigterm_ends_a_job_as_ctrl_c_does() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(KeyboardInterrupt):
            as_job(lambda options: signal.raise_signal(signal.SIGTERM), argparse.Namespace())
    finally:
        signal.signal(signal.SIGTERM, before)


def test_ctrl_c_before_a_command_has_begun_says_nothing(tmp_path: Path) -> None:
    """It comes while the first of the files is read that the command line needs."""
    (tmp_path / "argparse.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    command = [sys.executable, "-m", "darkroom", "list"]
    with inheriting_sigint(signal.default_int_handler):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
