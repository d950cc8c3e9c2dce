"""What a cluster's machines do not have in common: locks and links of the file system, the clock."""

import os
import shutil
from pathlib import Path

import pytest
from tests.cluster.cluster import Cluster
from tests.machine.refusing import refusing

TWELVE = ("--set-resources", "shard:images=12")
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
WITHOUT = '#!/bin/sh\nunset LD_PRELOAD\nexec {} "$@"\n'


@pytest.mark.parametrize("calls", ["flock", "link", "flock link"])
def test_a_file_system_without_locks_or_links_has_the_same_pictures(
    slow: Cluster, undisturbed: dict[str, bytes], calls: str
) -> None:
    done = slow.run("slurm", *TWELVE, **refusing(slow.folder, *calls.split()))
    assert done.returncode == 0, done.stderr
    assert slow.pictures() == undisturbed
    assert "Nothing to be done" in slow.run("slurm", *TWELVE).stderr


def test_a_head_whose_clock_is_minutes_behind_has_the_same_pictures(
    slow: Cluster, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """The head's is wrong, its jobs' and the file system's are right."""
    if not FAKETIME.is_file():
        pytest.skip("no libfaketime: apt-get install faketime")
    sbatch = tmp_path / "bin/sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(WITHOUT.format(shutil.which("sbatch")))
    sbatch.chmod(0o755)
    path = os.pathsep.join([str(sbatch.parent), os.environ["PATH"]])
    # A file's time is its file system's; no clock that counts from the machine's start is wrong.
    faked = {"FAKETIME": "-7m", "NO_FAKE_STAT": "1", "FAKE_UTIME": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    done = slow.run("slurm", *TWELVE, PATH=path, LD_PRELOAD=str(FAKETIME), **faked)
    assert done.returncode == 0, done.stderr
    assert slow.pictures() == undisturbed
    assert "Nothing to be done" in slow.run("slurm", *TWELVE).stderr
