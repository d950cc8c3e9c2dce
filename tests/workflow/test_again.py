"""`darkroom again`, as a person types it."""

import subprocess
import sys

from tests.machine.waiting import PATIENCE
from tests.workflow.project import Project

PICTURE = "results/small/images/demo/demo_lora/cats/000_1.png"


def again(project: Project, *changes: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "darkroom", "again", PICTURE, *changes]
    return subprocess.run(command, cwd=project.folder, capture_output=True, text=True, timeout=PATIENCE)


def test_a_picture_comes_out_identical_and_with_another_seed_as_another(finished: Project) -> None:
    before = finished.pictures()

    same = again(finished)
    assert same.returncode == 0, same.stderr
    lines = same.stdout.splitlines()
    assert lines[-2:] == ["pixels: identical", "nothing that is recorded differs"]
    assert lines[0].endswith("1 rendered, 0 kept"), "the store's own would be identical in any case"

    other = again(finished, "seed=5")
    assert other.returncode == 0, other.stderr
    assert other.stdout.splitlines()[-2:] == ["recorded otherwise:", "  seed:                   1 → 5"]
    assert "pixels: identical" not in other.stdout
    assert finished.pictures() == before
    assert sorted(path.name for path in (finished.folder / "conf").iterdir()) == ["experiment", "prompts"]
