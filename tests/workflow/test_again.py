"""`darkroom again`, as a person types it."""

import subprocess
import sys

from tests.machine.waiting import PATIENCE
from tests.workflow.project import Project

PICTURE = "results/small/images/demo/demo_lora/cats/000_1.png"


def test_a_picture_comes_out_identical_and_nothing_of_the_first_is_touched(finished: Project) -> None:
    before = finished.pictures()
    command = [sys.executable, "-m", "darkroom", "again", PICTURE]
    same = subprocess.run(command, cwd=finished.folder, capture_output=True, text=True, timeout=PATIENCE)
    assert same.returncode == 0, same.stderr
    lines = same.stdout.splitlines()
    assert lines[-2:] == ["pixels: identical", "nothing that is recorded differs"]
    assert lines[0].endswith("1 rendered, 0 kept"), "the store's own would be identical in any case"
    assert finished.pictures() == before
    assert sorted(path.name for path in (finished.folder / "conf").iterdir()) == ["experiment", "prompts"]
