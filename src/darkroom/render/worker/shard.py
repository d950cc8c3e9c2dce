"""Renders a shard in a cluster's job: one combination after the other, on the job's warm worker.

Their records are staged. Where Snakemake began, the render rule fetches each, or tells why there is none.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from darkroom.errors import DarkroomError, StoppedError, StoreError, WorkerError
from darkroom.files.atomic import link
from darkroom.files.table_file import is_cut
from darkroom.files.weight_file import sha256_of
from darkroom.job_errors import JobError, begin_job, end_job, read_job_error, read_member_errors, write_member_errors
from darkroom.names import Names
from darkroom.planned import Shard, Shards
from darkroom.render.job import Job
from darkroom.render.worker.client import render
from darkroom.store import ExperimentFolder, Written


def render_shard(
    shard: Shard, folder: ExperimentFolder, run: str, job: Job, worker_logs: Path, unplanned: Mapping[Names, JobError]
) -> None:
    """Render what its earlier attempts have not, then write what came of it. `job`: as for each member, but its files.

    A combination that fails costs itself alone, as those do that are `unplanned`; WorkerError when the worker dies,
    which another attempt may mend.
    """
    staged, errors = folder.staged(run), dict(unplanned)
    for names in shard.members:
        requests, records = folder.requests(names), staged.records(names)
        if names in unplanned or (records.is_file() and not is_cut(records)):
            continue
        log = folder.log("render", *names)
        begin_job(log)
        try:
            render(replace(job, requests=requests, records=records), worker_logs, log)
        except StoppedError:
            end_job(log)
            raise
        except WorkerError as error:
            JobError(str(error)).write(log)
            raise
        except DarkroomError as error:
            known = read_job_error(log)
            errors[names] = JobError(str(error), known.pictures if known else {})
            errors[names].write(log)
            print(f"darkroom: {' / '.join(names)}: {error}", file=sys.stderr, flush=True)
        else:
            end_job(log)
    write_member_errors(folder.shard(run, shard.model, shard.number), errors)


def fetched(job: Job) -> bool:
    """Whether the combination's records came from a shard; False where this run has no shards.

    DarkroomError, as it was in the shard, for a combination that came to nothing there.
    """
    folder, names = _place(job.requests)
    shards = Shards.read(folder.shards)
    if not shards.run:
        return False
    shard = shards.by_member.get(names)
    if shard is None:
        raise StoreError(f"{' / '.join(names)}: finished when this run began, and no more: the next run renders it")
    if error := read_member_errors(folder.shard(shards.run, *shard[:2])).get(names):
        error.write(folder.log("render", *names))
        raise DarkroomError(error.text, lines=True)
    written, records = Written.read(folder.written(names)), folder.staged(shards.run).records(names)
    if written is None or written.requests != sha256_of(job.requests) or not records.is_file():
        raise StoreError(f"{records}: not what is asked for now: files changed during the run; the next one renders it")
    link(records, job.records)
    os.utime(job.records)  # newer than the requests that it was made from
    return True


def _place(requests: Path) -> tuple[ExperimentFolder, Names]:
    """results/<experiment>/requests/<model>/<lora>/<prompts>.json"""
    lora = requests.parent
    return ExperimentFolder(lora.parents[2]), Names(lora.parent.name, lora.name, requests.stem)
