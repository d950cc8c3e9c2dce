"""What is preloaded does what it says, and nothing else."""

import time
from pathlib import Path

from tests.machine.preloading import clock_off, python

TIMES = """\
import subprocess, threading, time
began = time.monotonic()
for _ in range(20):
    subprocess.run(["sleep", "0.01"], timeout=60, check=True)
threading.Event().wait(0.01)
time.sleep(0.01)
assert time.monotonic() - began > 0.22
print(time.time(), time.time_ns() // 10**9, time.localtime().tm_year, open("new", "x").name, time.monotonic())
"""


def test_a_clock_that_is_off_is_off_for_who_asks_the_time_and_for_nobody_who_waits(tmp_path: Path) -> None:
    before = time.monotonic()
    seconds, in_nanoseconds, *_, monotonic = python(TIMES, tmp_path, clock_off(-420)).stdout.split()

    assert 300 < time.time() - float(seconds) < 540
    assert int(in_nanoseconds) - float(seconds) < 60
    assert before < float(monotonic) < time.monotonic()
    assert (tmp_path / "new").stat().st_mtime - float(seconds) > 300, "a file's time is its file system's"


def test_a_clock_is_right_where_it_is_said_to_be(tmp_path: Path) -> None:
    environment = {**clock_off(420, right_in="SLURM_JOB_ID"), "SLURM_JOB_ID": "1"}
    assert abs(time.time() - float(python("import time; print(time.time())", tmp_path, environment).stdout)) < 120
