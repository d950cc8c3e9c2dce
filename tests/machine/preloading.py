"""Machines that are otherwise: C of ours (tests/machine/preloaded), compiled and preloaded into other processes."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

_SOURCES = Path(__file__).with_name("preloaded")


def refusing(below: Path, *calls: str, number: int = errno.ENOSYS) -> dict[str, str]:
    """The environment of a process for which calls fail below a folder; without a compiler, the test is skipped."""
    said = {"REFUSED": " ".join(calls), "REFUSED_BELOW": str(below.resolve()), "REFUSED_WITH": str(number)}
    return _with("refused_calls", said)


def clock_off(seconds: int, *, right_in: str = "") -> dict[str, str]:
    """That of one whose wall clock is so far off, and of what it starts; the clock is right where `right_in` is set."""
    return _with("wrong_clock", {"CLOCK_OFF": str(seconds), "CLOCK_RIGHT_IN": right_in})


def python(code: str, folder: Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run some lines of Python in a folder."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def _with(library: str, said: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "LD_PRELOAD": _compiled(library), **said}


@cache
def _compiled(name: str) -> str:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip(f"no C compiler for tests/machine/preloaded/{name}.c: apt-get install gcc")
    library = Path(tempfile.mkdtemp()) / f"{name}.so"
    source = _SOURCES / f"{name}.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return str(library)
