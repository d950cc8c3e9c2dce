"""`darkroom watch`: renders each checkpoint of a training run as the trainer writes it, until it is stopped."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.cli import RENDER, Commands
from darkroom.cli.completing import completes, experiments
from darkroom.cli.importing import add_job_options, job_folder, planned_job
from darkroom.display import counted, printable
from darkroom.errors import ConfigError, DarkroomError
from darkroom.store import RESULTS, ExperimentFolder

if TYPE_CHECKING:
    from darkroom.intake.arrivals import Arrivals, Arrived

_INTERVAL = 15.0  # seconds between looks
_LONGEST_PAUSE = 32  # looks that a run which failed is not tried again, at most
_NICE = 10
_INTERRUPTED = 128 + signal.SIGINT
_STOPPED = (_INTERRUPTED, 128 + signal.SIGTERM, 128 + signal.SIGHUP)  # exit statuses of a run that a person ended


def add_to(commands: Commands) -> None:
    watch = commands.add(
        RENDER,
        "watch",
        _watch,
        "Render each checkpoint as the trainer writes it, at low priority, until stopped.",
        "watch output/my_job",
    )
    watch.add_argument("path", type=Path, help="the folder of an ai-toolkit job; imported, if it is not yet")
    completes(watch.add_argument("--experiment", metavar="X", help="render X, in place of the job's own"), experiments)
    watch.add_argument("--interval", type=_seconds, default=_INTERVAL, metavar="SECONDS", help="between looks (15)")
    watch.add_argument("--once", action="store_true", help="render what is there, and end")
    add_job_options(watch)
    watch.set_defaults(force=False, keep_edited=True, dry_run=False)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"expected seconds, above 0 and up to a day, got {text}")
    return seconds


def _watch(options: argparse.Namespace) -> int:
    from darkroom.intake.arrivals import Arrivals

    folder = job_folder(options.path)
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; expected that of a training run")
    _step_back()
    try:
        arrivals = Arrivals(folder)
        experiment = _taken_in(options)
        status = _rendered(experiment)
        if options.once:
            return status
        if status not in _STOPPED:
            print(printable(f"{folder}: watched for new checkpoints; Ctrl-C ends it"), flush=True)
        status = _go_on(arrivals, experiment, status, options)
    except KeyboardInterrupt:
        status = _INTERRUPTED
    print(printable(f"{folder}: not watched any more; what was rendered stays"), flush=True)
    return status


def _go_on(arrivals: Arrivals, experiment: str, status: int, options: argparse.Namespace) -> int:
    """Look, and render what has come, until somebody ends a run: its exit status."""
    backoff = Backoff()
    while status not in _STOPPED:
        time.sleep(options.interval)
        arrived = arrivals.since()
        if backoff.is_due(arrived=bool(arrived), failed=_is_open(experiment, status)):
            print(_why(arrived, experiment), flush=True)
            status = _again(options, experiment)
    return status


class Backoff:
    """What arrives is rendered at once; what failed is tried again after 1 look, 2, 4 and so on, up to 32."""

    def __init__(self) -> None:
        self._pause, self._looks = 1, 0  # looks to wait, looks since the last run

    def is_due(self, *, arrived: bool, failed: bool) -> bool:
        """Asked once a look."""
        self._looks += 1
        if not arrived and not (failed and self._looks >= self._pause):
            return False
        self._pause = 1 if arrived else min(2 * self._pause, _LONGEST_PAUSE)
        self._looks = 0
        return True


def _why(arrived: Arrived, experiment: str) -> str:
    """What is rendered now, in a line."""
    names = [path.name for path in arrived.checkpoints]
    samples = [counted(len(arrived.samples), "sample")] if arrived.samples else []
    return f"new: {', '.join([*names, *samples])}" if arrived else f"{experiment}: what failed is tried again"


def _again(options: argparse.Namespace, experiment: str) -> int:
    try:
        _taken_in(options)
    except DarkroomError as error:  # what was imported before goes on
        print(f"not imported again: {error}", flush=True)
    return _rendered(experiment)


def _taken_in(options: argparse.Namespace) -> str:
    """Import the job, or what is new of it; the experiment to render. ConfigError where there is none."""
    from darkroom.intake.aitk.config import config_file
    from darkroom.intake.options import ImportOptions
    from darkroom.plan.conf.owned_files import CONF

    try:
        config_file(job_folder(options.path))
    except ConfigError:
        if options.experiment is None:
            raise
        return str(options.experiment)  # of another trainer's checkpoints
    job = planned_job(options)
    is_first = not (CONF / "experiment" / f"{job.name}.yaml").exists()
    said = job.write(ImportOptions(keep_edited=True))
    if is_first:
        print(*said, sep="\n", flush=True)
    return str(options.experiment or job.name)


def _rendered(experiment: str) -> int:
    """Snakemake's exit status."""
    from darkroom.previews import previews_file
    from darkroom.terminal.run import run

    return run([experiment], target="regress" if previews_file(experiment).is_file() else None)


def _is_open(experiment: str, status: int) -> bool:
    """True where a run failed, and not because pictures came out otherwise than their previews."""
    return status != 0 and not ExperimentFolder(RESULTS / experiment).finished.is_file()


def _step_back() -> None:
    """The trainer, and whoever works here, go first."""
    import psutil

    os.nice(_NICE)
    with contextlib.suppress(psutil.Error, OSError):  # where a container forbids it
        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)
