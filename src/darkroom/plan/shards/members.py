"""Completes the requests of a shard's combinations, in its job: what the plan rule does where there are no shards."""

import os
import time
from pathlib import Path

from darkroom.errors import DarkroomError
from darkroom.job_errors import JobError
from darkroom.names import Names
from darkroom.plan.digests import write_requests
from darkroom.planned import Shard
from darkroom.store import ExperimentFolder, Store


def plan_members(folder: ExperimentFolder, shard: Shard, store: Store) -> dict[Names, JobError]:
    """The errors of those that cannot be planned; the others have their requests then."""
    errors = {}
    for names in shard.members:
        checkpoint, requests = folder.checkpoint(names.model), folder.requests(names)
        try:
            write_requests(folder.draft(names), checkpoint, requests, store)
            _make_older(requests, checkpoint)
        except DarkroomError as error:
            errors[names] = JobError(str(error))
    return errors


def _make_older(requests: Path, checkpoint: Path) -> None:
    """Than the checkpoint, at a time of its own: a run without shards then plans the combination again.

    Snakemake has no record of a file that none of its jobs made, and would go by times alone.
    """
    then = checkpoint.stat().st_mtime_ns - 10**9 - time.time_ns() % 10**9
    os.utime(requests, ns=(then, then))
