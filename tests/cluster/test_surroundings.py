"""What machines of a cluster do not have in common: locks, links, views of files, the clock."""

import itertools
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.cluster.cluster import RENDERED, Cluster
from tests.machine.preloading import clock_off, refusing
from tests.machine.waiting import wait_for

TWELVE = ("--set-resources", "shard:images=12")
EIGHT = ("--set-resources", "shard:images=8")  # two combinations that have all their pictures in common


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


def test_files_that_other_machines_see_late_are_waited_for(
    slurm: Path, slow: Cluster, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """Each machine keeps for a while what it has seen of a file, or that there is none; a lock is of one machine."""
    nodes, served = machines(slurm), Cluster(tmp_path / "served")
    with seen_late(slow.folder, served.folder, nodes):
        assert_seen_late(slow.folder, nodes[0])
        with served.watched() as written:
            done = slow.run("slurm", *EIGHT)
        assert done.returncode == 0, done.stderr
        assert "Nothing to be done" in slow.run("slurm", *EIGHT).stderr
        slow.wait_for_silence()
    assert len(written) == RENDERED, "no picture was written twice"
    assert served.pictures() == undisturbed


def machines(slurm: Path) -> list[Path]:
    """What each node has mounted, for nsenter."""
    return [Path("/proc", file.read_text().strip(), "ns/mnt") for file in sorted(slurm.glob("run/slurmd-*.pid"))]


LATE = 5  # seconds
CACHES = ",".join(f"{what}_timeout={LATE}" for what in ("entry", "negative", "attr", "ac_attr"))


@contextmanager
def seen_late(folder: Path, served: Path, nodes: list[Path]) -> Iterator[None]:
    """Within, a folder lies at `served`, from where this machine and each node has it with caches of its own."""
    if shutil.which("bindfs") is None:
        pytest.skip("no bindfs (Debian: tests/cluster/install.sh)")
    folder.rename(served)
    folder.mkdir()
    tried = subprocess.run(["bindfs", "-o", CACHES, served, folder], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no file system of our own here: {tried.stderr.strip()}")
    subprocess.run(["umount", "--lazy", folder], check=True)
    with ExitStack() as mounted:
        for machine in ([], *(["nsenter", f"--mount={node}"] for node in nodes)):
            subprocess.run([*machine, "bindfs", "-o", CACHES, served, folder], check=True)
            mounted.callback(subprocess.run, [*machine, "umount", "--lazy", folder], check=True)
        yield


def assert_seen_late(folder: Path, node: Path) -> None:
    """What the node writes after this machine has looked for it is not seen here at once."""
    numbers = itertools.count()

    def is_late() -> bool:
        file = folder / f"late{next(numbers)}"
        assert not file.exists()
        subprocess.run(["nsenter", f"--mount={node}", "touch", file], check=True)
        return not file.exists()

    wait_for(is_late, "a file that is seen late")
