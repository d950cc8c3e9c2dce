"""The Snakemake process that a warm worker lives and dies with, as jobs do; they find its id in their environment."""

import argparse
import contextlib
import itertools
import os
import re
import select
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from darkroom.errors import WorkerError
from darkroom.filesystem.shared import share_with_group
from darkroom.render.worker.slot import sweep

_VARIABLE = "DARKROOM_OWNER"
_LATENCY = "DARKROOM_LATENCY"
_ALONE = "DARKROOM_JOB_ALONE"
_SNAKEMAKES = (
    Path(".snakemake"),
    Path(".snakemake/log"),
)  # which it has made, with its log, when it reads the Snakefile
_USUAL_LATENCY = 5.0  # seconds; Snakemake's own


def adopt_jobs(command_line: Sequence[str], *, is_main: bool) -> None:
    """Let the jobs of this process find its Python first, and its process id as the owner of the workers they start.

    They import nothing from the working folder, where a torch.py or yaml.py of the person's may lie. Where that folder
    is its group's, so is what they write.
    Called where Snakemake parses the Snakefile: in a cluster job that is the job's own Snakemake, on the node, and not
    the main one, whose command line has --latency-wait: the seconds in which files of other machines are seen here.
    """
    share_with_group(Path(), made=itertools.chain(_SNAKEMAKES, _SNAKEMAKES[-1].glob("*.log")))
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ["PYTHONSAFEPATH"] = "1"
    os.environ.pop("PYTHONOPTIMIZE", None)  # 2 takes docstrings away, which transformers reads as it is imported
    os.environ[_VARIABLE] = str(os.getpid())
    os.environ[_LATENCY] = str(_latency_wait(command_line))
    os.environ[_ALONE] = "" if is_main else "yes"
    sweep()  # what killed runs have left


def _latency_wait(command_line: Sequence[str]) -> float:
    """Read here because Snakemake's settings are not there yet when it parses the Snakefile."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-w", "--latency-wait", "--output-wait", type=float, default=_USUAL_LATENCY)
    return float(parser.parse_known_args(command_line[1:])[0].latency_wait)


def owner() -> int | None:
    """The process that workers live and die with, or None when a command was started by hand; WorkerError."""
    value = os.environ.get(_VARIABLE)
    if value and not re.fullmatch(r"[0-9]{1,9}", value):
        raise WorkerError(
            f"{_VARIABLE}: expected the process id of a Snakemake, which sets it itself, got {value}; unset it"
        )
    return int(value) if value else None


def latency() -> float:
    """Seconds that Snakemake waits for files of other machines; as many as it usually does where nobody said."""
    return float(os.environ.get(_LATENCY) or _USUAL_LATENCY)


def is_alone() -> bool:
    """Whether this job is all that its Snakemake runs, as on a cluster: a worker that it starts serves no later one."""
    return bool(os.environ.get(_ALONE))


def end_with(owner: int, at_end: Callable[[], None] = lambda: None) -> None:
    """End this process at once when the owner ends, however it does, after `at_end`: in the middle of an image too."""
    threading.Thread(target=_wait, args=(owner, at_end), daemon=True).start()


def _wait(owner: int, at_end: Callable[[], None]) -> None:
    with contextlib.suppress(ProcessLookupError):
        select.select([os.pidfd_open(owner)], [], [])  # readable once it has ended, reaped by its parent or not
    try:
        at_end()
    finally:  # on a full disk as well, on which nothing can be said
        os._exit(0)
