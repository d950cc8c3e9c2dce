"""Lets Snakemake start jobs as they can be started, without its usual limit of 100 a second.

With a limit, each look for jobs to start has another one follow a second later, as long as jobs wait. Each job that
ends is a look as well, and so a thread more that looks each second: a night of 4,000 jobs would end with 8,000.
"""

from typing import Any

_USUAL = (100, 1)  # jobs, seconds: Snakemake's --max-jobs-per-timespan where none is given


def leave_out_usual_limit(workflow: Any) -> None:
    """Of Snakemake's run that is about to begin. A limit that somebody asked for stays."""
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    if limit is not None and (limit.max_jobs, limit.timespan) == _USUAL:
        workflow.scheduler.job_rate_limiter = None
