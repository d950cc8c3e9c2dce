"""benchmarks/gpu.py, whole, tiny, on a stand-in: it has to be ready when a GPU is. And switching.py, on a processor."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.places import REPOSITORY

# Not installed where a GPU is lent for minutes: the render room has to do without. Triton, which torch's CUDA build
# brings, compiles for no stand-in.
_WITHOUT = """
import runpy, sys
for name in ("snakemake", "hydra", "omegaconf", "triton"):
    sys.modules[name] = None
out = sys.argv[1]
sys.argv[1:] = ["--model", "tiny", "--repeats", "1"]
runpy.run_path("benchmarks/switching.py", run_name="__main__")
sys.argv[1:] = ["--tiny", "--out", out]
from tests.machine.gpu import installed
with installed(4 * 10**9):
    runpy.run_path("benchmarks/gpu.py", run_name="__main__")
"""


@pytest.mark.slow
def test_the_check_for_a_gpu_runs_whole_on_a_stand_in_and_without_snakemake_and_hydra(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WITHOUT, str(tmp_path)]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert '"LoKr, from the file, back to the base": {' in ended.stdout
    (file,) = tmp_path.glob("gpu-*-a-stand-in-tiny.json")
    rows = json.loads(file.read_text())["rows"]
    good = {(row["part"], row["what"]) for row in rows if row["is_good"]}
    assert {
        ("goldens", "t2i_64_s4_g1: twice the same"),
        ("noise", "twice the same"),
        *(("tiny", f"{mode}: the same picture") for mode in ("resident", "model", "block")),
        ("tiny", "switch from the pinned, LoRA of rank 4, back to the base: the same picture"),
        ("tiny", "switch from the file, LoKr, another strength: the same picture"),
        ("tiny", "64², 4 steps, guided, fast, batched_guidance: twice the same"),
        ("tiny", "3 pictures of 64², written"),
        ("tiny", "memory ran out: the same picture"),
        ("lost device", "exit status of its worker"),
        ("lost device", "the next worker"),
    } <= good
    assert not [row for row in rows if row["is_good"] is False]
