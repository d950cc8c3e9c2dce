"""profiles/workstation and profiles/kubernetes: each is whole, and works by its path from any folder."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.machine.waiting import PATIENCE
from tests.places import REPOSITORY


def profile(name: str) -> Any:
    return yaml.safe_load((REPOSITORY / f"profiles/{name}/config.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["workstation", "kubernetes"])
def test_it_says_all_that_the_default_says_whose_place_it_takes(name: str) -> None:
    """But for `cores`: a cluster's jobs have theirs from the cluster."""
    assert {*profile("default")} - {"cores"} <= {*profile(name)}


def test_a_workstation_has_a_job_a_gpu() -> None:
    assert profile("workstation")["resources"] == ["gpu=4"]
    assert profile("workstation")["cores"] == "all"


def test_a_workstations_path_is_enough_from_another_folder(tmp_path: Path) -> None:
    words = ["--workflow-profile", str(REPOSITORY / "profiles/workstation"), "-n", "--config", "experiment=demo"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "snakemake", "-s", str(REPOSITORY / "Snakefile"), *words],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "SNAKEMAKE_PROFILE"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^render +6$", done.stdout, re.MULTILINE)
