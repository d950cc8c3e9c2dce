"""The memory that this process may have: the machine's, or less where a cgroup or a job of Slurm's is held to less.

A cgroup is held to the least of its own limit and those above it. Slurm's limit counts where it has no cgroup as well:
it may end a job that takes more.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from darkroom.display import sized
from darkroom.machine.allotment.cluster_job import cluster_job

_MIB = 2**20
_PER = (("SLURM_MEM_PER_CPU", "SLURM_CPUS_ON_NODE"), ("SLURM_MEM_PER_GPU", "SLURM_GPUS_ON_NODE"))  # MiB, how many


@dataclass(frozen=True)
class Memory:
    """In bytes. `limit`: what `total` is the limit of, "" where it is the machine's own."""

    total: int
    free: int
    limit: str = ""

    def __str__(self) -> str:
        whose = f", the limit of {self.limit}" if self.limit else ""
        return f"{sized(self.free)} of {sized(self.total)} free{whose}"


@dataclass(frozen=True)
class _Files:
    """What a version of cgroups calls things. `given_back`: of the counts in memory.stat, what is cache of files."""

    mount: str
    limit: str
    used: str
    given_back: tuple[str, ...]


_V1 = _Files(
    mount="sys/fs/cgroup/memory",
    limit="memory.limit_in_bytes",
    used="memory.usage_in_bytes",
    given_back=("total_inactive_file", "total_active_file"),
)
_V2 = _Files(
    mount="sys/fs/cgroup",
    limit="memory.max",
    used="memory.current",
    given_back=("inactive_file", "active_file"),
)


def memory() -> Memory:
    """What this process may have now."""
    machine = psutil.virtual_memory()
    mine = psutil.Process().memory_info().rss
    return memory_within(Memory(machine.total, machine.available), Path("/"), os.environ, mine)


def memory_within(machine: Memory, root: Path, environment: Mapping[str, str], mine: int) -> Memory:
    """The least of what the machine has and of all limits below it.

    `root`: where proc/ and sys/ lie; `mine`: bytes that this process has, all that is known of a job without a cgroup.
    """
    all_ = [machine, *_of_cgroups(root), *_of_slurm(environment, mine)]
    least = min(all_, key=lambda each: each.total)
    return Memory(least.total, max(min(each.free for each in all_), 0), least.limit)


def _of_cgroups(root: Path) -> Iterator[Memory]:
    """Each limit from this process's cgroup up to the top, as far as they can be seen: a container sees its own."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" or "memory" in controllers.split(","):
            files = _V2 if number == "0" else _V1
            below = Path(path.lstrip("/"))
            for part in (below, *below.parents):
                yield from _limit_in(root / files.mount / part, files, Path("/", part))


def _limit_in(folder: Path, files: _Files, name: Path) -> Iterator[Memory]:
    limit, used = _read(folder / files.limit).strip(), _read(folder / files.used).strip()
    if limit.isdecimal() and used.isdecimal():  # "max" is none
        counts = dict(line.split() for line in _read(folder / "memory.stat").splitlines())
        cache = sum(int(counts.get(name, "0")) for name in files.given_back)
        yield Memory(int(limit), int(limit) - int(used) + cache, f"cgroup {name}")


def _of_slurm(environment: Mapping[str, str], mine: int) -> Iterator[Memory]:
    """What the job asked for on this node; 0 is all that it has."""
    asked = [environment.get("SLURM_MEM_PER_NODE", "")]
    if not asked[0]:
        asked = [_product(environment.get(each, ""), environment.get(count, "")) for each, count in _PER]
    for limit in asked:
        if limit.isdecimal() and int(limit):
            total = int(limit) * _MIB
            yield Memory(total, total - mine, f"Slurm job {cluster_job(environment)}")


def _product(each: str, count: str) -> str:
    return str(int(each) * int(count)) if each.isdecimal() and count.isdecimal() else ""


def _read(path: Path) -> str:
    """ "" where there is none, or nobody may read it."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
