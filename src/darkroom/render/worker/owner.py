"""The Snakemake process that a warm worker lives and dies with; its jobs find its id in their environment."""

import os
import sys
from pathlib import Path

_VARIABLE = "DARKROOM_OWNER"


def adopt_jobs() -> None:
    """Let the jobs of this process find its Python first, and its process id as the owner of the workers they start.

    They import nothing from the working folder, where a torch.py or yaml.py of the person's may lie.
    Called where Snakemake parses the Snakefile: in a cluster job that is the job's own Snakemake, on the node.
    """
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ["PYTHONSAFEPATH"] = "1"
    os.environ[_VARIABLE] = str(os.getpid())


def owner() -> int | None:
    """The process that workers live and die with, or None when a command was started by hand."""
    value = os.environ.get(_VARIABLE)
    return int(value) if value else None
