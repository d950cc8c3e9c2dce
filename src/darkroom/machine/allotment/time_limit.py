"""The time that a job of Slurm's may take: what is left of it, and how the job goes on where it is not enough.

Asked with Slurm's own commands; of another scheduler's limit nobody here knows, and its SIGTERM ends the job.
"""

import os
import re
import subprocess
from collections.abc import Mapping

_LEFT = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)")  # days-hours:minutes:seconds, as squeue writes it
_PATIENCE = 60.0  # seconds for an answer


def seconds_left(environment: Mapping[str, str] = os.environ) -> float | None:
    """Of the job that this process is in; None outside, where there is no limit, and where nobody can tell."""
    match = _LEFT.fullmatch(_said_of_job(environment, "%L"))
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def begin_again(environment: Mapping[str, str] = os.environ) -> bool:
    """Have the job go back into its queue, to begin again as the same job: whoever submitted it sees it wait, not fail.

    False where it does not: outside, of a job that was cancelled or whose time is over, or where Slurm refuses. After
    True the job's processes are about to be ended.
    """
    if _said_of_job(environment, "%T") != "RUNNING":
        return False
    job = environment["SLURM_JOB_ID"]
    allowed = _slurm("scontrol", "update", f"JobId={job}", "Requeue=1")  # Snakemake submits jobs that may not
    return allowed is not None and _slurm("scontrol", "requeue", job) is not None


def _said_of_job(environment: Mapping[str, str], field: str) -> str:
    """What squeue has in one of its fields; "" where it does not answer."""
    job = environment.get("SLURM_JOB_ID")
    return (_slurm("squeue", "--noheader", f"--jobs={job}", f"--format={field}") or "").strip() if job else ""


def _slurm(*command: str) -> str | None:
    """What one of Slurm's commands prints; None where it fails, or is not there, as in a container."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
