"""The time that a job of Slurm's may take: what is left of it, and how the job goes on where it is not enough.

Asked with Slurm's own commands; of another scheduler's limit nobody here knows, and its SIGTERM ends the job. Where
Slurm does not answer, or refuses, it is said with what follows.
"""

import os
import re
import subprocess
from collections.abc import Callable, Mapping

_LEFT = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)")  # days-hours:minutes:seconds, as squeue writes it
_PATIENCE = 60.0  # seconds for an answer


class _Unanswered(Exception):
    """What of Slurm's did not answer, and why."""


def seconds_left(say: Callable[[str], None], environment: Mapping[str, str] = os.environ) -> float | None:
    """Of the job that this process is in; None outside, where there is no limit, and where nobody can tell."""
    try:
        match = _LEFT.fullmatch(_said_of_job(environment, "%L"))
    except _Unanswered as error:
        say(f"warning: {error}; when this job's time is up is not known: at its end the picture in hand is lost")
        return None
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def begin_again(say: Callable[[str], None], environment: Mapping[str, str] = os.environ) -> bool:
    """Have the job go back into its queue, to begin again as the same job: whoever submitted it sees it wait, not fail.

    False where it does not: outside, of a job that was cancelled or whose time is over, or where Slurm refuses. After
    True the job's processes are about to be ended.
    """
    try:
        if _said_of_job(environment, "%T") != "RUNNING":
            return False
        job = environment["SLURM_JOB_ID"]
        _slurm("scontrol", "update", f"JobId={job}", "Requeue=1")  # Snakemake submits jobs that may not
        _slurm("scontrol", "requeue", job)
    except _Unanswered as error:
        say(f"warning: {error}; the job does not go back into its queue: it fails, and another attempt goes on")
        return False
    return True


def _said_of_job(environment: Mapping[str, str], field: str) -> str:
    """What squeue has in one of its fields; "" outside."""
    job = environment.get("SLURM_JOB_ID")
    return _slurm("squeue", "--noheader", f"--jobs={job}", f"--format={field}").strip() if job else ""


def _slurm(*command: str) -> str:
    """What one of Slurm's commands prints; _Unanswered where it fails, or is not there, as in a container."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except OSError as error:
        raise _Unanswered(f"{command[0]}: cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise _Unanswered(f"{command[0]}: no answer within {_PATIENCE:g} seconds") from error
    if done.returncode:
        raise _Unanswered(f"{command[0]}: {done.stderr.strip() or f'ended with status {done.returncode}'}")
    return done.stdout
