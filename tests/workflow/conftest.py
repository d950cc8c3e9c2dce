"""A project folder for each test, and the demo's checkpoint copied once for all of them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.workflow.project import CATS, DOGS, EXPERIMENT, REPOSITORY, Project


@pytest.fixture(scope="session")
def demo_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's checkpoint where the rule would copy it, once for all tests."""
    folder = tmp_path_factory.mktemp("demo")
    subprocess.run(
        [sys.executable, "-m", "darkroom", "demo", str(REPOSITORY / "demo"), str(folder / "demo")], check=True
    )
    return folder / "demo"


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory, demo_store: Path) -> Project:
    project = _new(tmp_path_factory.mktemp("finished") / "project", demo_store)
    result = project.snakemake()
    assert result.returncode == 0, result.stderr
    return project


@pytest.fixture
def finished(finished_once: Project, tmp_path: Path) -> Project:
    """A project whose run has ended: a copy, times and all, for each test."""
    subprocess.run(["cp", "-a", str(finished_once.folder), str(tmp_path / "project")], check=True)
    return Project(tmp_path / "project")


@pytest.fixture
def project(tmp_path: Path, demo_store: Path) -> Iterator[Project]:
    project = _new(tmp_path / "project", demo_store)
    yield project
    for worker in project.workers():
        os.kill(worker.pid, signal.SIGKILL)


def _new(folder: Path, demo_store: Path) -> Project:
    project = Project(folder)
    project.write("conf/experiment/small.yaml", EXPERIMENT)
    project.write("conf/prompts/cats.yaml", CATS)
    project.write("conf/prompts/dogs.yaml", DOGS)
    (project.folder / "results/store").mkdir(parents=True)
    (project.folder / "results/store/demo").symlink_to(demo_store)
    return project
