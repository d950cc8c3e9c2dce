"""Faults of processes: they are killed, told to end, stopped for a while, begun twice, or lose their GPU.

Each is given a project, and chance for its moment and its place; it returns the names of the store's pictures that may
be rendered again.
"""

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import psutil

from disturbance.moments import at_a_moment, jobs, killed
from disturbance.project import Project, wait_for

_STAND_IN = Path(__file__).parent / "failing_gpu"


def kill(what: Sequence[str], project: Project, chance: Random) -> Sequence[str]:
    """SIGKILL of one of the run's processes, at a random moment after one of these words is in its command."""
    run = project.begin()
    found = wait_for(lambda: [each for each in jobs(project) if {*what} & {*each.info["cmdline"]}], run)
    time.sleep(chance.uniform(0, 3))
    killed(found)
    project.end(run)
    return ()


def kill_snakemake(project: Project, chance: Random, *, all_of_it: bool = False) -> Sequence[str]:
    run = project.begin()
    at_a_moment(project, run, chance)
    if all_of_it:
        killed(project.processes())
    else:
        run.kill()
    project.end(run)
    return ()


def signalled(number: signal.Signals, project: Project, chance: Random) -> Sequence[str]:
    """As a terminal does it with Ctrl-C, or a service manager: to the whole process group."""
    run = project.begin()
    at_a_moment(project, run, chance)
    if run.poll() is None:
        os.killpg(run.pid, number)
    project.end(run)
    return ()


def paused(everything: bool, project: Project, chance: Random) -> Sequence[str]:
    """The worker alone, or all of a run as on a computer that sleeps, for some seconds."""
    run = project.begin()
    at_a_moment(project, run, chance)
    processes = project.processes() if everything else project.workers()
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
    time.sleep(chance.uniform(1, 12))
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()
    project.end(run)
    return ()


def begun_together(project: Project, chance: Random) -> Sequence[str]:
    """Runs of the same experiment, from three shells at the same time."""
    runs = [project.begin() for _ in range(3)]
    for run in runs:
        project.end(run)
    return ()


def two_runs(project: Project, chance: Random) -> Sequence[str]:
    first = project.begin()
    at_a_moment(project, first, chance)
    second = project.begin()
    project.end(first)
    project.end(second)
    return ()


def failing_gpu(times: int, project: Project, chance: Random) -> Sequence[str]:
    """A stand-in: so many workers lose their device, each at a random one of its points."""
    failures = project.root / "failures"
    failures.write_text("".join(f"{chance.randrange(1, 24)}\n" for _ in range(times)))
    path = f"{_STAND_IN}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    project.end(project.begin(PYTHONPATH=path, FAILING_GPU=str(failures)))
    return ()
