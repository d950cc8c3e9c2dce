"""Hears of each job that failed what its executor knows of it: Snakemake keeps that for a list that nobody is shown.

profiles/default leaves the list of failed jobs out, since a job on this machine has spoken for itself; unless it was
killed, which is left as the job's error.
"""

import logging
from pathlib import Path
from typing import Any

from snakemake.logging import LogEvent, logger

from darkroom.job_errors import end_killed_job
from darkroom.telling.messages import say

_WITH_EACH = "For further error details see"  # what Snakemake's remote executors end with, whatever they know


class _Words(logging.Handler):
    """Of jobs that Snakemake reports as failed: an executor gives the reason, where it ran the job elsewhere."""

    def emit(self, record: logging.LogRecord) -> None:
        values = vars(record)
        if values.get("event") != LogEvent.JOB_ERROR:
            return
        for log in values["log"]:
            end_killed_job(Path(log), _reason(values))
        if values.get("rule_msg"):
            made = " ".join(values["output"])
            say(f"{values['rule_name']}: the job for {made} failed: {values['rule_msg'].strip()}")


def _reason(values: dict[str, Any]) -> str | None:
    """What a cluster says of a job's end, in its first sentence: SLURM-job '17' failed, SLURM status is: 'TIMEOUT'"""
    own, _, _ = (values.get("rule_msg") or "").partition(_WITH_EACH)
    return own.strip().partition(". ")[0].removesuffix(".") or None


def tell_failed_jobs() -> None:
    """From now on, once for each attempt of a job."""
    if not any(isinstance(each, _Words) for each in logger.handlers):
        logger.addHandler(_Words())
