"""What make does to the folder of an environment: one that works is kept, any other is made anew."""

import subprocess
import sys
from pathlib import Path

from tests.places import REPOSITORY


def said(venv: Path) -> str:
    """What `make` would run to install into this folder."""
    command = ["make", "--dry-run", f"VENV={venv}", f"PYTHON={sys.executable}", f"{venv}/installed"]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout


def bin_with(python: str, folder: Path) -> Path:
    """A folder whose bin/python is this shell script."""
    (folder / "bin").mkdir()
    (folder / "bin/python").write_text(f"#!/bin/sh\n{python}\n")
    (folder / "bin/python").chmod(0o755)
    return folder


def test_an_environment_that_works_is_kept_whichever_python_made_it(tmp_path: Path) -> None:
    venv = bin_with(f'exec {sys.executable} "$@"', tmp_path)
    assert f'test -n "{venv}/bin/python" || {sys.executable} -P -m venv --clear {venv}' in said(venv)


def test_one_whose_python_does_not_run_is_made_anew(tmp_path: Path) -> None:
    venv = bin_with("exit 127", tmp_path)
    assert f'test -n "" || {sys.executable} -P -m venv --clear {venv}' in said(venv)
    assert 'test -n "" ||' in said(tmp_path / "none")
