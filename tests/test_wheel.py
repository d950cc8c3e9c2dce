"""The wheel: what a run needs is in it, nothing else is, and it runs from an empty folder with no checkout around."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.machine.waiting import PATIENCE
from tests.places import REPOSITORY

FOLDERS = ("rules", "conf", "profiles", "demo", "previews")
NOT_READ = {"demo/README.md", "demo/evaluation.json"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (file,) = folder.glob("darkroom-*.whl")
    return file


def test_it_holds_the_package_and_beside_it_what_a_run_reads(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    outside = {name for name in names if not name.startswith("darkroom/")}
    assert {Path(name).name for name in outside} == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "LICENSE"}

    package = {f"darkroom/{name}" for name in files_below(REPOSITORY / "src/darkroom")}
    data = {f"{folder}/{name}" for folder in FOLDERS for name in files_below(REPOSITORY / folder)}
    workflow = {f"darkroom/workflow/{name}" for name in {"Snakefile", *data} - NOT_READ}
    assert names - outside == package | workflow
    assert "darkroom/workflow/demo/klein/transformer/config.json" in names


@pytest.mark.slow
def test_unpacked_it_renders_the_demo_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    installed, folder = tmp_path / "site-packages", tmp_path / "empty"
    zipfile.ZipFile(wheel).extractall(installed)
    folder.mkdir()
    few = ["matrix.lora=none", "matrix.prompts=demo_loras", "matrix.seed=1", "model.defaults.sample_steps=2"]
    snakemake = [sys.executable, "-m", "snakemake", "-s", str(installed / "darkroom/workflow/Snakefile")]

    done = subprocess.run(
        [*snakemake, "--cores", "1", "--config", "experiment=demo", f"set={json.dumps(few)}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert done.returncode == 0, done.stderr
    rows = pq.read_table(folder / "results/demo/manifest.parquet").to_pylist()
    assert [row["image_path"] for row in rows] == [
        "results/demo/images/demo/none/demo_loras/000_1_1.0.png",
        "results/demo/images/demo/none/demo_loras/001_1_1.0.png",
    ]
    assert all((folder / row["image_path"]).is_file() for row in rows)


def files_below(folder: Path) -> set[str]:
    """All but what Python leaves, as paths below the folder."""
    inside = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    return {path.as_posix() for path in inside if "__pycache__" not in path.parts}
