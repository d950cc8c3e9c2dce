"""A project folder for each test, with a small experiment of the demo's model."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.workflow.project import CATS, DOGS, EXPERIMENT, Project


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = _new(tmp_path_factory.mktemp("finished") / "project")
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
    project = _new(tmp_path / "project")
    yield project
    for process in project.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _new(folder: Path) -> Project:
    project = Project(folder)
    project.write("conf/experiment/small.yaml", EXPERIMENT)
    project.write("conf/prompts/cats.yaml", CATS)
    project.write("conf/prompts/dogs.yaml", DOGS)
    return project
