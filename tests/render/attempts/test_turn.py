"""Several processes that are about to render the same pictures: each is rendered by one of them."""

import json
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from tests.machine.waiting import PATIENCE

from darkroom.filesystem.lock import reserved
from darkroom.filesystem.owner import Owner
from darkroom.render.attempts.turn import in_turn

HOLD = """\
import sys, time, pathlib
from darkroom.filesystem.lock import reserved
lock = reserved(pathlib.Path(sys.argv[1]))
print(bool(lock), flush=True)
time.sleep(600)
"""


def order(pictures: list[Path], check=lambda: None, **options: float) -> list[str]:
    found = []
    for picture, turn in in_turn(pictures, lambda path: path, check, **options):
        found.append(picture.name)
        turn.close()
    return found


def test_what_another_has_comes_last_and_is_waited_for(tmp_path):
    pictures = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    theirs = reserved(tmp_path / ".a.png.lock")
    waited = []

    def check() -> None:
        waited.append(True)
        theirs.close()

    assert order(pictures, check) == ["b.png", "c.png", "a.png"]
    assert waited == [True]
    assert list(tmp_path.iterdir()) == [], "nothing is left"


def test_a_turn_that_nobody_ends_is_taken_in_the_end(tmp_path):
    with closing(reserved(tmp_path / ".a.png.lock")):
        assert order([tmp_path / "a.png"], patience=0.05) == ["a.png"]


def test_whoever_waits_can_be_called_away(tmp_path):
    def check() -> None:
        raise KeyboardInterrupt

    with closing(reserved(tmp_path / ".a.png.lock")), pytest.raises(KeyboardInterrupt):
        order([tmp_path / "a.png"], check)


def test_a_killed_process_has_no_turn(tmp_path):
    lock = tmp_path / ".a.png.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        assert reserved(lock) is None
        holder.kill()
        holder.wait(PATIENCE)
    assert order([tmp_path / "a.png"]) == ["a.png"]
    assert not lock.exists()


def test_where_a_file_says_who_has_it_a_process_that_is_no_more_has_nothing(tmp_path):
    """As `reserved` leaves it on a file system without flock: tests/filesystem/test_refusals.py has one."""
    gone = replace(Owner.here(), pid=2**22 + 1)
    assert gone.is_gone
    (tmp_path / ".a.png.lock.owner").write_text(json.dumps(asdict(gone)))
    assert order([tmp_path / "a.png"]) == ["a.png"]
