"""Hands one combination, or one sheet of trials, to the warm worker and waits.

Must start in milliseconds: no torch, nothing it does not need.
Without an owner (started by hand, outside Snakemake) the same command renders in its own process.
"""

import contextlib
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from darkroom.errors import DarkroomError, StoppedError, StoreError, WorkerError
from darkroom.filesystem.direct import open_direct, why
from darkroom.record.rows import read_records
from darkroom.render.job import EncodeJob, Job, SheetJob
from darkroom.render.progress import Progress, ProgressLine
from darkroom.render.worker import slot
from darkroom.render.worker.channel import Channel
from darkroom.render.worker.ending import passing_on_sigterm
from darkroom.render.worker.helping import USUAL, Sharing, helped
from darkroom.render.worker.message import Done, Failed, Lost, Prewarm, Stopped
from darkroom.render.worker.owner import owner
from darkroom.telling.messages import say
from darkroom.trials import OUTCOMES, TrialSheet, outcomes_of

_START_SECONDS = 60.0  # for a worker to open its socket, which it does before any heavy import
_LAST_WORDS = 12  # lines of the worker's log shown when it dies


def render(
    job: Job,
    worker_logs: Path,
    log: Path | None = None,
    launcher: str = slot.HERE,
    sharing: Sharing = USUAL,
    hear: Callable[[Progress], None] = lambda progress: None,
    told: Callable[[], None] = lambda: None,
) -> None:
    """Render a combination on this run's warm worker, or here when there is no run.

    `worker_logs`: the folder of workers' logs; what the worker says of this job goes to `log` too. `launcher`: the
    commands that start workers elsewhere, as slot.launchers_of reads them. `sharing`: when other devices here make some
    of its pictures. `hear` hears how far the worker is; `told` is called when SIGTERM comes meanwhile: a job whose last
    picture was in hand is done all the same.
    """
    if not asked_of_worker(job, worker_logs, log, launcher, sharing, hear, told):
        _render_here(job)
    _say_dead_loras(job.records)


def render_sheet(job: SheetJob, worker_logs: Path, log: Path | None = None, launcher: str = slot.HERE) -> Path:
    """The same of a sheet of trials; the file of what came of it. For an empty sheet nobody loads a model."""
    sheet, outcomes = TrialSheet.read(job.sheet), job.sheet.with_name(OUTCOMES)
    if not sheet.trials:
        outcomes_of(sheet, ()).write(outcomes)
    elif not asked_of_worker(job, worker_logs, log, launcher):
        _render_sheet_here(job)
    return outcomes


def asked_of_worker(
    job: Job | SheetJob | EncodeJob,
    worker_logs: Path,
    log: Path | None,
    launcher: str,
    sharing: Sharing = USUAL,
    hear: Callable[[Progress], None] = lambda progress: None,
    told: Callable[[], None] = lambda: None,
) -> bool:
    """Whether this run has a worker, which then has done it."""
    run = owner()
    if run is None:
        return False
    base = job.base()
    with slot.hold(run, slot.launchers_of(launcher), base) as held:
        others = (
            helped(held, job, base, lambda other: _connect(other, _log_of(other, worker_logs)), sharing)
            if isinstance(job, Job) and base and not held.launcher
            else contextlib.nullcontext()
        )
        worker_log = _log_of(held, worker_logs)
        with _copied(worker_log, log), contextlib.closing(_connect(held, worker_log)) as connection, others as helpers:
            _ask(Channel(connection), job, worker_log, [hear, *([helpers.hear] if helpers else [])], told)
    return True


def _log_of(device: slot.Slot, worker_logs: Path) -> Path:
    return worker_logs / f"{device.name}.log"


@contextlib.contextmanager
def _copied(worker_log: Path, log: Path | None) -> Iterator[None]:
    """What a worker says meanwhile, which is of one job, in that job's log as well."""
    before = worker_log.stat().st_size if worker_log.is_file() else 0
    try:
        yield
    finally:
        if log is not None and worker_log.is_file():
            # Not to be said of a full disk in place of what the job came to: the worker's own log has it as well.
            with contextlib.suppress(OSError), worker_log.open("rb") as said, _opened(log) as file:
                said.seek(before)
                file.write(said.read())


def prewarm(held: slot.Slot, family: str, worker_logs: Path) -> None:
    """Start the worker of a held slot without waiting for it: it imports what it needs while text is encoded."""
    with contextlib.closing(_connect(held, _log_of(held, worker_logs))) as connection:
        Channel(connection).send(Prewarm(family))


def _say_dead_loras(records: Path) -> None:
    """One line on each file of a combination that changes nothing, as its pictures' records have it."""
    found, _ = read_records(records)
    for sentence in dict.fromkeys(lora.dead for record in found for lora in record.loras if lora.dead):
        say(f"warning: {sentence}")


def _render_here(job: Job) -> None:
    from darkroom.render.combination import render_combination  # imports torch
    from darkroom.render.device.environment import fix_threads
    from darkroom.render.pipelines import Pipelines

    os.chdir(job.directory)
    fix_threads()
    line = ProgressLine()
    try:
        render_combination(job, Pipelines(), line.show)
    finally:
        line.close()


def _render_sheet_here(job: SheetJob) -> None:
    from darkroom.render.trials import render_trials  # imports torch

    os.chdir(job.directory)
    line = ProgressLine()
    try:
        render_trials(job.sheet, job.results, job.store, job.offload, report=line.show)
    finally:
        line.close()


def _connect(held: slot.Slot, worker_log: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
        connection.connect(str(held.socket))
        return connection
    held.socket.unlink(missing_ok=True)
    worker = _start(held, worker_log)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and worker.poll() is None:
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            connection.connect(str(held.socket))
            return connection
        time.sleep(0.01)
    raise WorkerError(
        f"the render worker did not start; its last words ({worker_log}):\n{last_words(worker_log)}", lines=True
    )


def _start(held: slot.Slot, worker_log: Path) -> subprocess.Popen[bytes]:
    """A worker in a session of its own, so that Ctrl-C reaches Snakemake alone; the worker follows its owner."""
    worker_log.parent.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ)
    if held.device is not None:
        environment["CUDA_VISIBLE_DEVICES"] = held.device
    rule = ["relay", "--launcher", shlex.join(held.launcher)] if held.launcher else ["worker"]
    command = [sys.executable, "-P", "-m", "darkroom", "rule", *rule, str(held.socket)]
    command += ["--owner", str(held.owner), "--log", str(worker_log.absolute())]
    with _opened(worker_log) as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )


def _opened(log: Path) -> IO[bytes]:
    try:
        return open_direct(log, "ab")
    except OSError as error:
        raise StoreError(f"{log}: cannot be written: {why(error)}") from error


def _ask(
    worker: Channel,
    job: Job | SheetJob | EncodeJob,
    worker_log: Path,
    hearers: Sequence[Callable[[Progress], None]],
    told: Callable[[], None],
) -> None:
    latest: Progress | None = None
    line = ProgressLine()
    try:
        worker.send(job)
        with passing_on_sigterm(worker, told):
            while answer := worker.receive():
                match answer:
                    case Progress():
                        latest = answer
                        for hear in (line.show, *hearers):
                            hear(answer)
                    case Failed():
                        raise DarkroomError(answer.text, lines=True, again=answer.again)
                    case Lost():
                        raise WorkerError(answer.text, lines=True)
                    case Stopped():
                        raise StoppedError(f"{job.file}: {answer.text}")
                    case Done():
                        return
                    case _:
                        raise WorkerError(f"the render worker's answer: expected progress or an end, got {answer}")
    except (BrokenPipeError, ConnectionResetError):
        pass  # the worker is gone: said below, as when it ends between two messages
    finally:
        line.close()
    at = f" (image {latest.done + 1} of {latest.total})" if latest else ""
    raise WorkerError(
        f"the render worker ended before it had finished {job.file}{at}. Finished images are kept; a retry goes on "
        f"with a fresh worker. Its last words ({worker_log}):\n{last_words(worker_log)}",
        lines=True,
    )


def last_words(log: Path) -> str:
    """Of a worker's log: the last line that says something first, since terminals show one; then what is before it."""
    if not log.is_file():
        return "  (none)"
    lines = log.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()[-_LAST_WORDS:]
    *before, last = [f"  {line}" for line in lines] or ["  (none)"]
    return "\n".join([last, "before that:", *before] if before else [last])
