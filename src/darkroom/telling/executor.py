"""Tells what a cluster says of a job that it refused or ended: Snakemake keeps that for a list that nobody is shown.

profiles/default leaves the list of failed jobs out, since a job on this machine has spoken for itself.
"""

import logging

from snakemake.logging import LogEvent, logger

from darkroom.telling.messages import say


class _Words(logging.Handler):
    """Of jobs that Snakemake reports as failed: an executor gives the reason, where it ran the job elsewhere."""

    def emit(self, record: logging.LogRecord) -> None:
        values = vars(record)
        if values.get("event") != LogEvent.JOB_ERROR or not values.get("rule_msg"):
            return
        made = " ".join(values["output"])
        say(f"{values['rule_name']}: the job for {made} failed: {values['rule_msg'].strip()}")


def tell_failed_jobs() -> None:
    """From now on, once for each attempt of a job."""
    if not any(isinstance(each, _Words) for each in logger.handlers):
        logger.addHandler(_Words())
