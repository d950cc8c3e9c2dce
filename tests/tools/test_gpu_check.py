"""benchmarks/gpu.py, whole, at a size for a CPU: it has to be ready when a GPU is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.places import REPOSITORY

# Neither is installed where a GPU is lent for minutes: the render room has to do without.
_WITHOUT = """
import runpy, sys
for name in ("snakemake", "hydra", "omegaconf"):
    sys.modules[name] = None
sys.argv[1:] = ["--tiny", "--out", sys.argv[1]]
runpy.run_path("benchmarks/gpu.py", run_name="__main__")
"""


@pytest.mark.slow
def test_the_check_for_a_gpu_runs_whole_without_one_and_without_snakemake_and_hydra(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WITHOUT, str(tmp_path)]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (file,) = tmp_path.glob("gpu-*-cpu-tiny.json")
    rows = json.loads(file.read_text())["rows"]
    good = {(row["part"], row["what"]) for row in rows if row["is_good"]}
    assert {
        ("goldens", "t2i_64_s4_g1: twice the same"),
        ("noise", "twice the same"),
        ("tiny", "resident: the same picture"),
        ("tiny", "3 pictures of 64², written"),
    } <= good
    assert not [row for row in rows if row["is_good"] is False]
