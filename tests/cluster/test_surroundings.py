"""What machines and people of a cluster do not have in common: locks, links, views of files and rights, the clock."""

import itertools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.cluster.cluster import RENDERED, Cluster
from tests.machine.preloading import clock_off, refusing
from tests.machine.waiting import wait_for
from tests.places import REPOSITORY
from tests.workflow.project import Project

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


def test_files_that_other_machines_see_late_are_waited_for(
    slurm: Path, slow: Cluster, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """Each machine keeps for a while what it has seen of a file, or that there is none; a lock is of one machine."""
    nodes, served = machines(slurm), Cluster(tmp_path / "served")
    with seen_late(slow.folder, served.folder, nodes):
        assert_seen_late(slow.folder, nodes[0])
        with served.watched() as written:
            done = slow.run("slurm", *TWELVE)
        assert done.returncode == 0, done.stderr
        assert "Nothing to be done" in slow.run("slurm", *TWELVE).stderr
        slow.wait_for_silence()
    assert len(written) == RENDERED, "no picture was written twice"
    assert served.pictures() == undisturbed


def test_two_people_at_once_share_a_folder_that_is_their_groups_and_each_picture(
    slurm: Path, theirs: Cluster, undisturbed: dict[str, bytes]
) -> None:
    """Both are logged in on a node, and may write nothing that is root's."""
    nodes = machines(slurm)
    with open_to_all(nodes), theirs.watched() as written:
        runs = [
            subprocess.Popen(as_person(person, nodes[0], theirs, name=name), stderr=subprocess.PIPE)
            for person, name in (("games", "small"), ("man", "mine"))
        ]
        for run in runs:
            _, said = run.communicate()
            assert run.returncode == 0, said.decode()
        owners = {path.owner() for path in theirs.stored()}
        (theirs.folder / "results/store/images").chmod(0o2755)
        shut_out = subprocess.run(as_person("man", nodes[0], theirs, name="third"), capture_output=True, text=True)
    assert len(written) == RENDERED, "no picture was written twice"
    assert owners <= {"games", "man"}
    assert theirs.pictures("small") == theirs.pictures("mine") == undisturbed
    assert shut_out.returncode == 1
    assert "results/store/images: cannot be written: it is " in shut_out.stderr
    assert "'s, who lets a group in by chmod -R g+rwX" in shut_out.stderr


@pytest.fixture
def theirs(encoded: Project) -> Iterator[Cluster]:
    """Where everybody comes, as no folder of pytest's is: root's, who has opened it as docs/cluster.md says."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        cluster = Cluster(Path(name) / "project")
        subprocess.run(["cp", "-a", encoded.folder, cluster.folder], check=True)
        opened = f"chgrp -R users {cluster.folder} && chmod -R g+rwX {cluster.folder}"
        subprocess.run(["sh", "-c", f"{opened} && find {cluster.folder} -type d -exec chmod g+s {{}} +"], check=True)
        yield cluster
        cluster.wait_for_silence()


def as_person(person: str, node: Path, cluster: Cluster, *, name: str) -> list[str]:
    """The line of a person without rights of root's, whose own files nobody else may write."""
    home = cluster.folder.parent / person
    home.mkdir(exist_ok=True)
    shutil.chown(home, person)
    line = ["nsenter", f"--mount={node}", "setpriv", f"--reuid={person}", "--regid=users", "--clear-groups"]
    line += ["env", f"--chdir={cluster.folder}", f"HOME={home}", "sh", "-c", 'umask 022; exec "$@"', "sh"]
    return [*line, *cluster.on("slurm", *TWELVE), f"name={name}"]


@contextmanager
def open_to_all(nodes: list[Path]) -> Iterator[None]:
    """Within, everybody may read on nodes what of Python and the repository lies in root's own folders."""
    if shutil.which("bindfs") is None:
        pytest.skip("no bindfs (Debian: tests/cluster/install.sh)")
    needed = [Path(sys.base_prefix), Path(sys.prefix), REPOSITORY, *map(Path, filter(None, sys.path))]
    closed = {next(filter(is_closed, reversed([path, *path.parents])), None) for path in needed}
    with ExitStack() as mounted:
        for node, folder in itertools.product(nodes, filter(None, closed)):
            on_node = ["nsenter", f"--mount={node}"]
            subprocess.run([*on_node, "bindfs", "-o", "ro", "--perms=a+rX", folder, folder], check=True)
            mounted.callback(subprocess.run, [*on_node, "umount", "--lazy", folder], check=True)
        yield


def is_closed(folder: Path) -> bool:
    return folder.is_dir() and not folder.stat().st_mode & 0o001


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
