"""The kinds of faults, in one table: what each does to a project, and what it begins with.

After each of them the next runs must end with the pictures of an undisturbed run, render nothing again that was
finished and whole, and leave nothing behind.
"""

import resource
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from disturbance import disk, processes, surroundings
from disturbance.damage import DAMAGES
from disturbance.project import Project


@dataclass(frozen=True)
class Kind:
    """`act` is given a project, and chance for its moment and its place; it returns the names of the store's pictures
    that may be rendered again. `finished`: it begins where a run has ended, else where none has begun. `at_once`: the
    disturbed run itself has to end well. `needs_root`: it mounts, or limits what processes may have.
    """

    name: str
    act: Callable[[Project, Random], Sequence[str]]
    finished: bool = False
    at_once: bool = False
    needs_root: bool = False


_STORE, _LOGS = "project/results/store", "project/results/faults/logs"
_LITTLE = ["size=60k", "size=150k", "size=300k", "size=600k"]  # options of a tmpfs
_FEW_FILES = ["nr_inodes=6", "nr_inodes=20"]
_LEAST = ["size=4k", "size=20k", *_FEW_FILES]

KINDS: tuple[Kind, ...] = (
    Kind("SIGKILL of the worker", partial(processes.kill, ("worker",)), at_once=True),
    Kind("SIGKILL of a render job", partial(processes.kill, ("render",)), at_once=True),
    Kind("SIGKILL of the encode process", partial(processes.kill, ("encode",)), at_once=True),
    Kind("SIGKILL of a job of plan or review", partial(processes.kill, ("plan", "checkpoint", "manifest", "report"))),
    Kind("SIGKILL of Snakemake", processes.kill_snakemake),
    Kind("SIGKILL of everything", partial(processes.kill_snakemake, all_of_it=True)),
    Kind("SIGINT", partial(processes.signalled, signal.SIGINT)),
    Kind("SIGTERM", partial(processes.signalled, signal.SIGTERM)),
    Kind("SIGHUP", partial(processes.signalled, signal.SIGHUP)),
    Kind("a worker that stands still for a while", partial(processes.paused, False), at_once=True),
    Kind("a computer that sleeps", partial(processes.paused, True), at_once=True),
    Kind("two runs at once", processes.two_runs),
    Kind("three runs begun together", processes.begun_together),
    Kind("a GPU that fails once", partial(processes.failing_gpu, 1), at_once=True),
    Kind("a GPU that fails twice", partial(processes.failing_gpu, 2), at_once=True),
    *(
        Kind(f"{what}, {damage.__name__.replace('_', ' ')}", partial(disk.damaged, pattern, damage), finished=True)
        for what, pattern in {
            "a picture of the store": "store/images/*/*.png",
            "latents of the store": "store/images/*/*.safetensors",
            "an embedding": "store/embeddings/*/*.safetensors",
            "a records file": "faults/records/**/*.parquet",
            "a requests file": "faults/requests/**/*.json",
            "the manifest": "faults/manifest.parquet",
            "a checkpoint's file": "faults/checkpoints/*.json",
            "the table of contents": "faults/contents.json",
            "digests of the store": "store/*/*/SHA256SUMS",
            "a draft": "faults/drafts/**/*.json",
            "what was encoded": "faults/embeddings/*.json",
        }.items()
        for damage in DAMAGES
    ),
    Kind("another LoRA in mid-run", partial(disk.swapped, "mine.safetensors", disk.other_lora)),
    Kind("no LoRA in mid-run", partial(disk.swapped, "mine.safetensors", Path.unlink)),
    Kind("other prompts in mid-run", partial(disk.swapped, "conf/prompts/words.yaml", disk.other_prompts)),
    Kind("another reference image in mid-run", partial(disk.swapped, "red.png", disk.other_picture)),
    Kind("no room for larger files", disk.full_disk),
    Kind(
        "a full file system",
        partial(disk.small_file_system, _STORE, _LITTLE),
        needs_root=True,
    ),
    Kind(
        "a file system without room for more files",
        partial(disk.small_file_system, _STORE, _FEW_FILES),
        needs_root=True,
    ),
    Kind(
        "a full folder for temporary files",
        partial(disk.small_file_system, "tmp", _LEAST),
        needs_root=True,
    ),
    Kind("a full folder of logs", partial(disk.small_file_system, _LOGS, _LEAST), needs_root=True),
    Kind(
        "results/ on another file system, and its store on a third one",
        disk.store_elsewhere,
        at_once=True,
        needs_root=True,
    ),
    Kind("a read-only store", disk.read_only, finished=True, needs_root=True),
    Kind("results/ moved away in mid-run", disk.moved),
    Kind("the store removed in mid-run", partial(disk.removed, _STORE)),
    Kind("temporary files removed in mid-run", partial(disk.removed, "tmp")),
    Kind("Snakemake's folder removed in mid-run", partial(disk.removed, "project/.snakemake")),
    Kind("a folder in the place of a file", disk.folder_in_its_place, finished=True),
    Kind("files of the future", partial(disk.moved_clock, 400), finished=True),
    Kind("files of long ago", partial(disk.moved_clock, -4000), finished=True),
    Kind("leftovers of processes that are gone", disk.leftovers, finished=True),
    Kind("an odd environment", surroundings.odd_environment, at_once=True),
    Kind("few open files", partial(surroundings.limited, resource.RLIMIT_NOFILE, [16, 32, 64, 128])),
    Kind("little address space", partial(surroundings.limited, resource.RLIMIT_AS, [10**9, 2 * 10**9, 3 * 10**9])),
    Kind("little memory", surroundings.little_memory, needs_root=True),
    Kind("files that are private", surroundings.private, at_once=True),
    Kind("a clock that jumps in mid-run", surroundings.other_clock, at_once=True),
    Kind("output that cannot be written", surroundings.nobody_reads),
)
