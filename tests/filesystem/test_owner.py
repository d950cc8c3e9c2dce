"""Whose a half-written file is, and whether that process has ended: no clock is asked."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from darkroom.files.atomic import atomic, sweep
from darkroom.filesystem.owner import has_ended, is_mark_of_gone, mark, started

BEGIN = """\
import sys, time
from pathlib import Path
from darkroom.files.atomic import atomic
with atomic(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("begun", flush=True)
    time.sleep(600)
"""


def test_a_process_that_runs_has_not_ended_and_its_number_alone_says_nothing():
    here = os.getpid()
    assert not has_ended(here, started(here))
    assert has_ended(here, started(here) - 1), "an earlier process with this number"
    assert has_ended(2**22 + 1, 5)


def test_a_process_that_nobody_has_asked_about_has_ended_all_the_same():
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as child:
        began = started(child.pid)
        child.stdout.read()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # and left as a zombie
        assert has_ended(child.pid, began or 0)


def test_of_another_machine_or_an_older_version_nobody_can_tell():
    assert is_mark_of_gone(mark()) is False
    assert is_mark_of_gone("12-34-00000000") is None
    assert is_mark_of_gone("000_a") is None


def test_what_a_killed_process_had_begun_goes_with_the_next_sweep_and_what_is_being_written_stays(tmp_path: Path):
    begun = tmp_path / "images/000_1.png"
    with (
        subprocess.Popen([sys.executable, "-c", BEGIN, str(begun)], stdout=subprocess.PIPE) as killed,
        atomic(tmp_path / "mine.png") as mine,
    ):
        mine.write_text("half")
        assert killed.stdout.readline() == b"begun\n"
        sweep(tmp_path)
        assert [path.name[:10] for path in begun.parent.iterdir()] == [".000_1.png"], "while it is written"
        killed.kill()
        killed.wait()
        sweep(tmp_path)
        assert list(begun.parent.iterdir()) == []
        assert mine.exists()
    assert [path.name for path in tmp_path.rglob("*.png")] == ["mine.png"]


@pytest.mark.parametrize("moved", [-7200, 7200])
def test_what_nobody_can_tell_the_owner_of_goes_after_an_hour_whichever_way_the_clock_was_moved(tmp_path, moved):
    other, fresh = tmp_path / ".a.png.12-34-00000000.0123abcd.tmp", tmp_path / ".b.png.0123abcd.tmp"
    other.touch()
    fresh.touch()
    os.utime(other, (time.time() + moved,) * 2)
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [fresh.name]


def test_a_name_of_255_bytes_can_be_written(tmp_path):
    path = tmp_path / ("ä" * 125 + ".json")
    with atomic(path) as temporary:
        temporary.write_text("{}")
    assert json.loads(path.read_text()) == {}
