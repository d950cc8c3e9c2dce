"""Which job of a cluster's scheduler this process belongs to."""

import os
from collections.abc import Mapping

_VARIABLES = ("SLURM_JOB_ID", "LSB_JOBID", "PBS_JOBID", "JOB_ID")  # of Slurm, LSF, PBS, Grid Engine


def cluster_job(environment: Mapping[str, str] = os.environ) -> str | None:
    """Its number, as the scheduler says it; None outside."""
    return next((environment[name] for name in _VARIABLES if environment.get(name)), None)
