"""A project folder for each test, and the demo's checkpoint made once for all of them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.workflow.project import CATS, DOGS, EXPERIMENT, Project


@pytest.fixture(scope="session")
def demo_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's checkpoint, made once for all tests."""
    folder = tmp_path_factory.mktemp("demo")
    subprocess.run([sys.executable, "-m", "darkroom", "demo", str(folder / "demo")], check=True)
    return folder / "demo"


@pytest.fixture
def project(tmp_path: Path, demo_store: Path) -> Iterator[Project]:
    project = Project(tmp_path / "project")
    project.write("conf/experiment/small.yaml", EXPERIMENT)
    project.write("conf/prompts/cats.yaml", CATS)
    project.write("conf/prompts/dogs.yaml", DOGS)
    (project.folder / "results/store").mkdir(parents=True)
    (project.folder / "results/store/demo").symlink_to(demo_store)
    yield project
    for worker in project.workers():
        os.kill(worker.pid, signal.SIGKILL)
