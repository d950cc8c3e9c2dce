"""What a cluster's machines do not have in common: locks and links of the file system, the clock."""

import pytest
from tests.cluster.cluster import Cluster
from tests.machine.preloading import clock_off, refusing

TWELVE = ("--set-resources", "shard:images=12")


def test_a_file_system_without_locks_and_links_has_the_same_pictures(
    slow: Cluster, undisturbed: dict[str, bytes]
) -> None:
    done = slow.run("slurm", *TWELVE, **refusing(slow.folder, "flock", "link"))
    assert done.returncode == 0, done.stderr
    assert slow.pictures() == undisturbed
    assert "Nothing to be done" in slow.run("slurm", *TWELVE).stderr


@pytest.mark.parametrize("minutes", [-7, 7])
def test_a_head_whose_clock_is_minutes_off_has_the_same_pictures(
    slow: Cluster, undisturbed: dict[str, bytes], minutes: int
) -> None:
    """The head's is wrong, its jobs' and the file system's are right."""
    done = slow.run("slurm", *TWELVE, **clock_off(60 * minutes, right_in="SLURM_JOB_ID"))
    assert done.returncode == 0, done.stderr
    assert slow.pictures() == undisturbed
    assert "Nothing to be done" in slow.run("slurm", *TWELVE).stderr
