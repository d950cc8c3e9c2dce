"""When a fault comes in a run, and to which of its processes."""

import subprocess
import time
from collections.abc import Sequence
from random import Random

import psutil

from disturbance.project import Project, wait_for


def at_a_moment(project: Project, run: subprocess.Popen[bytes], chance: Random) -> None:
    """Return after a random time from the run's first file, first embedding or first picture on, or at its end."""
    awaited = chance.choice(["faults/contents.json", "store/embeddings/*/*.safetensors", "store/images/*/*.png"])
    before = {*project.results.glob(awaited)}
    if not before:
        wait_for(lambda: [*project.results.glob(awaited)], run)
    time.sleep(chance.uniform(0, 5))


def jobs(project: Project) -> list[psutil.Process]:
    """The processes of `darkroom rule …`."""
    return [each for each in project.processes() if {"darkroom", "rule"} <= {*each.info["cmdline"]}]


def killed(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
