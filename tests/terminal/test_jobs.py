"""What Snakemake's rules call, when somebody ends it."""

import argparse
import json
import os
import resource
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from tests.workflow.project import inheriting_sigint

from darkroom.cli.rules import as_job


def test_sigterm_ends_a_job_as_ctrl_c_does() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(KeyboardInterrupt):
            as_job(lambda options: signal.raise_signal(signal.SIGTERM), argparse.Namespace())
    finally:
        signal.signal(signal.SIGTERM, before)


def test_ctrl_c_before_a_command_has_begun_says_nothing(tmp_path: Path) -> None:
    """It comes while the first of the files is read that the command line needs."""
    (tmp_path / "argparse.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    command = [sys.executable, "-m", "darkroom", "list"]
    with inheriting_sigint(signal.default_int_handler):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.slow
def test_a_process_without_memory_says_so(tmp_path: Path) -> None:
    """A file of 2 GB of zeros, which take no room on the disk, where a process may have half of that."""
    module, count = "diffusion_model.double_blocks.0.img_attn.proj", 2**28
    tensors = {f"{module}.lora_A.weight": [1, count], f"{module}.lora_B.weight": [count, 1]}
    header = {
        key: {"dtype": "F32", "shape": shape, "data_offsets": [n * 4 * count, (n + 1) * 4 * count]}
        for n, (key, shape) in enumerate(tensors.items())
    }
    text = json.dumps(header).encode()
    with (tmp_path / "large.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + 8 * count)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "darkroom", "lora", "large.safetensors"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)),
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("darkroom: no memory is left for this process; a limit (ulimit -v, ")
