"""File systems that refuse calls: refused_calls.c, compiled and preloaded into processes of their own."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("refused_calls.c")


def refusing(below: Path, *calls: str, number: int = errno.ENOSYS) -> dict[str, str]:
    """The environment of a process for which calls fail below a folder; without a compiler, the test is skipped."""
    return {
        **os.environ,
        "LD_PRELOAD": _library(),
        "REFUSED": " ".join(calls),
        "REFUSED_BELOW": str(below.resolve()),
        "REFUSED_WITH": str(number),
    }


def python(code: str, folder: Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run some lines of Python in a folder."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


@cache
def _library() -> str:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for tests/machine/refused_calls.c: apt-get install gcc")
    library = Path(tempfile.mkdtemp()) / "refused_calls.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"], check=True)
    return str(library)
