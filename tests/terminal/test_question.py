"""`darkroom run` on a terminal: what would take much is asked first, once."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from tests.machine.waiting import PATIENCE

MUCH = ["matrix.model=[flux2_klein_4b]", "matrix.lora=[none]", "exclude=[]"]  # 16 GB to fetch


def run_on_a_terminal(folder: Path, answer: bytes, *words: str) -> tuple[int, str]:
    """Exit status, and what stood on the terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "darkroom", "run", *words]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder)}
    os.write(ours, answer)
    done = subprocess.run(
        command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, timeout=PATIENCE
    )
    os.close(theirs)
    said = b""
    try:
        while chunk := os.read(ours, 65_536):
            said += chunk
    except OSError:  # how Linux ends a terminal that nobody writes to any more
        os.close(ours)
    return done.returncode, said.decode()


def test_a_no_renders_nothing(tmp_path: Path) -> None:
    status, said = run_on_a_terminal(tmp_path, b"n\n", "demo", *MUCH)
    assert status == 1
    assert "black-forest-labs/FLUX.2-klein-base-4B: transformer, about 7.8 GB" in said
    assert "after 16.2 GB of downloads. Begin? [y/N]" in said
    assert "nothing was rendered" in said
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_ctrl_d_in_place_of_an_answer_ends_it(tmp_path: Path) -> None:
    status, said = run_on_a_terminal(tmp_path, b"\x04", "demo", *MUCH)
    assert status == 130
    assert said.splitlines()[-1] == "darkroom: interrupted; finished images are kept"


def test_a_dry_run_asks_nothing(tmp_path: Path) -> None:
    status, said = run_on_a_terminal(tmp_path, b"", "demo", "-n", *MUCH)
    assert (status, "Begin?" in said) == (0, False), said
