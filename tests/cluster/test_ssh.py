"""Workers behind ssh whose network fails, for a while and for good: two machines that are this one."""

import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from tests.cluster.cluster import RENDERED, Cluster, cut_off
from tests.machine.sshd import sshd
from tests.machine.waiting import PATIENCE, wait_for
from tests.workflow.project import Project

# As in profiles/ssh, but shorter. What was dropped is sent again at longer and longer intervals: a connection that was
# cut off for 30 s is heard of some time after that.
ALIVE = ("-oServerAliveInterval=10", "-oServerAliveCountMax=9", "-oConnectTimeout=10")


@dataclass(frozen=True)
class Machines:
    """A project, and the ports and the command of two workers of its."""

    project: Cluster
    ports: tuple[int, int]
    launchers: str

    @property
    def run(self) -> list[str]:
        options = ["--cores", "2", "--resources", "gpu=2", "--retries", "2"]
        return [*options, "--set-resources", f"encode:launcher={self.launchers}", f"render:launcher={self.launchers}"]

    def workers(self) -> list[psutil.Process]:
        """Both, once both are at work."""
        found = [process for process in self.project.workers() if process.info["cmdline"][0] != "ssh"]
        return found if len(found) == 2 else []

    def port_of(self, worker: psutil.Process) -> int:
        """Of the sshd that it is behind."""
        above = [" ".join(process.cmdline()) for process in worker.parents()]
        return next(port for port in self.ports if any(f"-p {port} " in line for line in above))


@pytest.fixture
def machines(encoded: Project, tmp_path: Path) -> Iterator[Machines]:
    project = Cluster(tmp_path / "project")
    subprocess.run(["cp", "-a", encoded.folder, project.folder], check=True)
    with ExitStack() as daemons:
        (first, one), (second, two) = (daemons.enter_context(sshd(tmp_path, *ALIVE)) for _ in range(2))
        yield Machines(project, (first, second), f"{shlex.join(one)}; {shlex.join(two)}")
        wait_for(lambda: not project.processes(), "no process left")


def test_a_connection_that_fails_for_half_a_minute_ends_no_worker_and_nothing_is_rendered_twice(
    machines: Machines, undisturbed: dict[str, bytes]
) -> None:
    project = machines.project
    with project.watched() as written:
        run = project.start(*machines.run)
        workers = wait_for(machines.workers, "two workers", run)
        wait_for(project.stored, "a picture", run)
        with cut_off(*machines.ports):
            time.sleep(30)
            assert all(worker.is_running() for worker in workers)
        assert run.wait(PATIENCE) == 0, project.said()
    assert len(written) == RENDERED
    assert project.pictures() == undisturbed
    assert {row["worker_pid"] for row in project.rows()} <= {None, *(worker.pid for worker in workers)}


def test_a_connection_that_is_gone_ends_its_worker_and_the_run_goes_on_with_the_others(
    machines: Machines, undisturbed: dict[str, bytes]
) -> None:
    project = machines.project
    with project.watched() as written:
        run = project.start(*machines.run)
        lost, *_ = wait_for(machines.workers, "two workers", run)
        wait_for(project.stored, "a picture", run)
        with cut_off(machines.port_of(lost)):
            assert run.wait(PATIENCE) == 0, project.said()
            lost.wait(PATIENCE)
    assert len(written) == RENDERED
    assert project.pictures() == undisturbed
