"""A project folder for each test, with a small experiment of the demo's model."""

import contextlib
import fcntl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.workflow.project import CATS, DOGS, EXPERIMENT, Project


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """A project whose run has ended, made by the first of the tests' processes that asks; the others wait for it."""
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent
    project = Project(shared / "finished/project")
    with (shared / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (project.folder / "results/small/finished").is_file():
            _write_small(project)
            result = project.snakemake()
            assert result.returncode == 0, result.stderr
    return project


@pytest.fixture
def finished(finished_once: Project, tmp_path: Path) -> Project:
    """A project whose run has ended: a copy, times and all, for each test."""
    subprocess.run(["cp", "-a", str(finished_once.folder), str(tmp_path / "project")], check=True)
    return Project(tmp_path / "project")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path / "project")
    _write_small(project)
    yield project
    for process in project.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _write_small(project: Project) -> None:
    project.write("conf/experiment/small.yaml", EXPERIMENT)
    project.write("conf/prompts/cats.yaml", CATS)
    project.write("conf/prompts/dogs.yaml", DOGS)
