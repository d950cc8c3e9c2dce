"""How Snakemake looks for jobs to start, in runs of its own."""

import subprocess
import sys
from pathlib import Path

# Afterwards it says how many threads it has, each of which would look for jobs again.
SNAKEFILE = """
import threading
from darkroom.plan.pace import leave_out_usual_limit
rule all:
    input: expand("{number}", number=range(10))
rule one:
    output: "{number}"
    shell: "touch {output}"
onstart: leave_out_usual_limit(workflow)
onsuccess: print("threads:", threading.active_count(), "limited:", workflow.scheduler.job_rate_limiter is not None)
"""


def said_at_the_end(folder: Path, *options: str) -> str:
    (folder / "Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_a_job_that_ends_leaves_no_thread_that_looks_for_the_next_again_and_again(tmp_path: Path) -> None:
    assert "threads: 1 limited: False" in said_at_the_end(tmp_path)


def test_a_limit_that_somebody_asked_for_stays(tmp_path: Path) -> None:
    assert "limited: True" in said_at_the_end(tmp_path, "--max-jobs-per-timespan", "50/1s")
