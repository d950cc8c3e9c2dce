"""Faults of what a run is started in: limits, locale, clock, rights, output. As processes.py has it."""

import os
import resource
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random

from disturbance.project import Project

_MOVED_CLOCK = Path(__file__).parent / "moved_clock"
_CGROUP = Path("/sys/fs/cgroup/memory")  # of version 1
_ODD: Sequence[Mapping[str, str]] = (
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "LANGUAGE": "tr"},
    {"TZ": "Pacific/Apia"},
    {"TZ": ":/nowhere"},
    {"PYTHONIOENCODING": "ascii"},
    {"TERM": "dumb", "COLUMNS": "1", "LINES": "1"},
    {"PYTHONOPTIMIZE": "2"},
    {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "7"},
    {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/tmp/darkroom-faults-cache"},
    {"TMPDIR": "/nonexistent"},
    {"CUDA_VISIBLE_DEVICES": ""},
    {"DARKROOM_OWNER": "1", "DARKROOM_TOLD": "/nonexistent/told"},
)


def odd_environment(project: Project, chance: Random) -> Sequence[str]:
    project.end(project.begin(**chance.choice(_ODD)))
    return ()


def limited(what: int, values: Sequence[int], project: Project, chance: Random) -> Sequence[str]:
    """By one of these values of a limit of setrlimit(2)."""
    value = chance.choice(values)
    project.end(project.begin(partial(resource.setrlimit, what, (value, value))))
    return ()


def little_memory(project: Project, chance: Random) -> Sequence[str]:
    """In a cgroup, whose largest process the kernel kills."""
    group = _CGROUP / f"darkroom-faults-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(f"{chance.choice([150, 250, 350, 450])}M")
        project.end(project.begin(lambda: (group / "cgroup.procs").write_text(str(os.getpid()))))
        project.lingering()
    finally:
        group.rmdir()
    return ()


def private(project: Project, chance: Random) -> Sequence[str]:
    """What the run writes only its own user may read."""
    project.end(project.begin(partial(os.umask, 0o077)))
    return ()


def other_clock(project: Project, chance: Random) -> Sequence[str]:
    """Processes have another time than the file system, and it jumps while they run."""
    path = f"{_MOVED_CLOCK}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    shift = chance.choice([-400, -1, 1, 400]) * 86400 + chance.randrange(3600)
    project.end(project.begin(PYTHONPATH=path, MOVED_CLOCK=str(shift), MOVED_AFTER=str(chance.uniform(0, 8))))
    return ()


def nobody_reads(project: Project, chance: Random) -> Sequence[str]:
    """What the run says cannot be written."""
    project.end(project.begin(output=Path("/dev/full")))
    return ()
