"""Renders a shard in a cluster's job: one combination after the other, on the job's warm worker.

Their records are staged. Where Snakemake began, the render rule fetches each, or tells why there is none.
"""

import contextlib
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from darkroom.errors import DarkroomError, StoppedError, StoreError, WorkerError
from darkroom.files.atomic import link
from darkroom.files.table_file import is_cut
from darkroom.files.weight_file import sha256_of
from darkroom.job_errors import JobError, begin_job, end_job, read_job_error, read_member_errors, write_member_errors
from darkroom.machine.allotment.time_limit import begin_again, seconds_left
from darkroom.names import Names
from darkroom.planned import Shard, Shards
from darkroom.render.attempts.time_up import TimeUp, in_time
from darkroom.render.job import Job, await_files, pictures_of
from darkroom.render.worker.client import render
from darkroom.render.worker.owner import is_alone
from darkroom.store import ExperimentFolder, Store
from darkroom.telling.messages import say
from darkroom.written import Written

PATIENCE = 120.0  # seconds for a cluster to end a job that it has taken back


def render_shard(
    shard: Shard,
    folder: ExperimentFolder,
    run: str,
    job: Job,
    worker_logs: Path,
    unplanned: Mapping[Names, JobError],
    patience: float = PATIENCE,
) -> None:
    """Render what its earlier attempts have not, then write what came of it. `job`: as for each member, but its files.

    A combination that fails costs itself alone, as those do that are `unplanned`; WorkerError when the worker dies,
    which another attempt may mend. Where the job's time is up and something was rendered in it, the job begins again,
    and waits to be ended, `patience` seconds.
    """
    planned = [names for names in shard.members if names not in unplanned]
    before, left = _stored(planned, folder, job), seconds_left(say) if is_alone() else None
    with in_time(left, shard.seconds / shard.images) as time_up:
        try:
            around = folder.log("shard", run, shard.model, shard.number)
            errors = _render_each(planned, folder, run, job, worker_logs, time_up, around)
        except StoppedError:
            if is_alone() and _stored(planned, folder, job) > before and begin_again(say):
                say("the job's time is up, so it waits for a place again; finished pictures are kept")
                time.sleep(patience)
            raise
    failed = {**unplanned, **errors}
    for names in failed:  # what an earlier attempt made of other files is not fetched
        folder.staged(run).records(names).unlink(missing_ok=True)
    write_member_errors(folder.shard(run, shard.model, shard.number), failed)


def _render_each(
    planned: Sequence[Names],
    folder: ExperimentFolder,
    run: str,
    job: Job,
    worker_logs: Path,
    time_up: TimeUp,
    around: Path,
) -> dict[Names, JobError]:
    """The errors of those that came to nothing. `around`: the log of the job that does all this."""
    staged, errors = folder.staged(run), dict[Names, JobError]()
    for names in planned:
        requests, records = folder.requests(names), staged.records(names)
        if _is_done(requests, records, folder.written(names)):
            continue
        time_up.check()
        log, member = folder.log("render", *names), replace(job, requests=requests, records=records)
        begin_job(log, within=around)
        try:
            render(
                member,
                worker_logs,
                log,
                hear=lambda progress: time_up.expect(progress.seconds_per_image),
                told=time_up.tell,
            )
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
    return errors


def _is_done(requests: Path, records: Path, written: Path) -> bool:
    """Whether an earlier attempt has rendered a combination, from files that are the same now."""
    if not records.is_file() or is_cut(records):
        return False
    then = Written.read(written)
    return then is not None and then.requests == sha256_of(requests)


def _stored(planned: Sequence[Names], folder: ExperimentFolder, job: Job) -> int:
    """How many of these combinations' pictures the store has; none of one whose requests are unreadable."""
    found = 0
    for names in planned:
        with contextlib.suppress(StoreError):  # rendering it fails by that, and says so
            found += sum(picture.is_file() for picture in pictures_of(folder.requests(names), Store(job.store)))
    return found


def fetched(job: Job) -> bool:
    """Whether the combination's records came from a shard; False where they are to be made here.

    Where they are staged and there are hard links, the render rule's own line has fetched them already.
    That is in a run without shards, and of what was finished as the run began and is asked for all the same (`-R
    render`), as long as the store has its pictures: StoreError where it has not, since nothing is rendered here.
    DarkroomError, as it was in the shard, for a combination that came to nothing there.
    """
    folder, names = _place(job.requests)
    shards = Shards.read(folder.shards)
    if not shards.run:
        return False
    shard = shards.by_member.get(names)
    if shard is None:
        if all(picture.is_file() for picture in pictures_of(job.requests, Store(job.store))):
            return False
        lacks = f"{' / '.join(names)}: finished when this run began, and the store lacks pictures of it"
        raise StoreError(f"{lacks}: the next run renders it")
    if error := read_member_errors(folder.shard(shards.run, *shard[:2])).get(names):
        error.write(folder.log("render", *names))
        raise DarkroomError(error.text, lines=True)
    records = folder.staged(shards.run).records(names)
    await_files([records], job.latency)
    if not records.is_file():
        raise StoreError(f"{records}: missing, though its job has ended well; the next run renders it")
    link(records, job.records)
    os.utime(job.records)  # newer than the requests that it was made from
    return True


def _place(requests: Path) -> tuple[ExperimentFolder, Names]:
    """results/<experiment>/requests/<model>/<lora>/<prompts>.json"""
    lora = requests.parent
    return ExperimentFolder(lora.parents[2]), Names(lora.parent.name, lora.name, requests.stem)
