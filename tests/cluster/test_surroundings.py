"""What a cluster's machines do not have in common: locks and links of the file system, the clock."""

import os
import shutil
from pathlib import Path

import pytest
from tests.cluster.cluster import Cluster
from tests.machine.refusing import refusing

TWELVE = ("--set-resources", "shard:images=12")
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
WITHOUT = '#!/bin/sh\nunset LD_PRELOAD FAKETIME NO_FAKE_STAT FAKE_UTIME\nexec {} "$@"\n'


@pytest.mark.parametrize("calls", ["flock", "link", "flock link"])
def test_a_file_system_without_locks_or_links_has_the_same_pictures(
    slow: Cluster, undisturbed: dict[str, bytes], calls: str
) -> None:
    done = slow.run("slurm", *TWELVE, **refusing(slow.folder, *calls.split()))
    assert done.returncode == 0, done.stderr
    assert slow.pictures() == undisturbed
    assert "Nothing to be done" in slow.run("slurm", *TWELVE).stderr


@pytest.mark.parametrize("clock", ["+7m", "-7m"])
def test_clocks_that_differ_by_minutes_change_nothing(
    slow: Cluster, undisturbed: dict[str, bytes], tmp_path: Path, clock: str
) -> None:
    """The head's is wrong, its jobs' and the file system's are right."""
    if not FAKETIME.is_file():
        pytest.skip("no libfaketime: apt-get install faketime")
    sbatch = tmp_path / "bin/sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(WITHOUT.format(shutil.which("sbatch")))
    sbatch.chmod(0o755)
    path = os.pathsep.join([str(sbatch.parent), os.environ["PATH"]])
    done = slow.run(
        "slurm", *TWELVE, PATH=path, LD_PRELOAD=str(FAKETIME), FAKETIME=clock, NO_FAKE_STAT="1", FAKE_UTIME="1"
    )
    assert done.returncode == 0, done.stderr
    assert slow.pictures() == undisturbed
    assert "Nothing to be done" in slow.run("slurm", *TWELVE).stderr
