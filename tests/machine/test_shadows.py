"""A file of a library's name in a folder of PYTHONPATH is named, in place of what came of it somewhere inside."""

import os
import subprocess
import sys
from pathlib import Path

import darkroom


def test_a_file_that_is_imported_in_place_of_a_library_is_named(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("taken = 1")
    (tmp_path / "test.py").write_text("'Never imported.'")
    path = os.pathsep.join([str(tmp_path), str(Path(darkroom.__file__).parent.parent)])
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "darkroom", "list"],
        env={**os.environ, "PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(
        f"darkroom: {tmp_path / 'random.py'}: imported in place of Python's own or a library's"
    )
    assert "rename it" in ended.stderr
    assert "Traceback" not in ended.stderr
