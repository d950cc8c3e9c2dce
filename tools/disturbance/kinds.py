"""The kinds of faults, in one table: what each does to a project, and what it begins with.

After each of them the next runs must end with the pictures of an undisturbed run, render nothing again that was
finished and whole, and leave nothing behind.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import psutil

from darkroom.filesystem.owner import mark
from disturbance.damage import DAMAGES, Damage
from disturbance.project import REPOSITORY, Project, wait_for

_DAY = 86400.0
_HALF_WRITTEN = """
import os, sys
from pathlib import Path
from darkroom.files.atomic import atomic

with atomic(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    os._exit(0)
"""
_STAND_IN = Path(__file__).parent / "failing_gpu"


@dataclass(frozen=True)
class Kind:
    """`act` is given a project, and chance for its moment and its place; it returns the names of the store's pictures
    that may be rendered again. `finished`: it begins where a run has ended, else where none has begun. `at_once`: the
    disturbed run itself has to end well.
    """

    name: str
    act: Callable[[Project, Random], Sequence[str]]
    finished: bool = False
    at_once: bool = False


# ---- processes ----


def _kill(what: Sequence[str], project: Project, chance: Random) -> Sequence[str]:
    """SIGKILL of one of the run's processes, at a random moment after one of these words is in its command."""
    run = project.begin()
    found = wait_for(lambda: [each for each in _jobs(project) if {*what} & {*each.info["cmdline"]}], run)
    time.sleep(chance.uniform(0, 3))
    _killed(found)
    project.end(run)
    return ()


def _kill_snakemake(project: Project, chance: Random, *, all_of_it: bool = False) -> Sequence[str]:
    run = project.begin()
    _at_a_moment(project, run, chance)
    if all_of_it:
        _killed(project.processes())
    else:
        run.kill()
    project.end(run)
    return ()


def _signalled(number: signal.Signals, project: Project, chance: Random) -> Sequence[str]:
    """As a terminal does it with Ctrl-C, or a service manager: to the whole process group."""
    run = project.begin()
    _at_a_moment(project, run, chance)
    if run.poll() is None:
        os.killpg(run.pid, number)
    project.end(run)
    return ()


def _two_runs(project: Project, chance: Random) -> Sequence[str]:
    first = project.begin()
    _at_a_moment(project, first, chance)
    second = project.begin()
    project.end(first)
    project.end(second)
    return ()


def _failing_gpu(times: int, project: Project, chance: Random) -> Sequence[str]:
    """A stand-in: so many workers lose their device, each at a random one of its points."""
    failures = project.root / "failures"
    failures.write_text("".join(f"{chance.randrange(1, 24)}\n" for _ in range(times)))
    path = f"{_STAND_IN}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    project.end(project.begin(PYTHONPATH=path, FAILING_GPU=str(failures)))
    return ()


# ---- what lies on the disk ----


def _damaged(pattern: str, damage: Damage, project: Project, chance: Random) -> Sequence[str]:
    """One of the files of a finished run; half the time a record is missing too, so that there is something to do."""
    path = chance.choice(sorted(project.results.glob(pattern)))
    path.chmod(0o644)
    damage(path, chance)
    if chance.random() < 0.5:
        chance.choice(sorted(project.results.glob("faults/records/**/*.parquet"))).unlink(missing_ok=True)
    project.end(project.begin())
    return (path.stem,)


def _swapped(name: str, other: Callable[[Path], None], project: Project, chance: Random) -> Sequence[str]:
    """A file that conf/ names is another one from a random moment of a run on, and itself again after it."""
    path = project.folder / name
    shutil.copy2(path, project.root / name)
    run = project.begin()
    _at_a_moment(project, run, chance)
    other(path)
    project.end(run)
    (project.root / name).replace(path)
    return ()


def _other_lora(path: Path) -> None:
    shutil.copy(REPOSITORY / "demo/demo_lokr.safetensors", path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def _other_picture(path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64), "blue").save(path)


def _full_disk(project: Project, chance: Random) -> Sequence[str]:
    """No file may grow beyond some size, which is enough for what Snakemake makes of the Snakefile."""
    project.end(project.begin(largest_file=chance.choice([8, 30, 100, 200]) * 1024))
    return ()


def _small_file_system(project: Project, chance: Random) -> Sequence[str]:
    """The store lies on a file system of its own that is full before long, and larger for the next run."""
    store = project.results / "store"
    store.mkdir(parents=True)
    size = chance.choice([60, 150, 300, 600])
    _mount("-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(store))
    project.end(project.begin())
    _mount("-o", "remount,size=64m", str(store))
    return ()


def _read_only(project: Project, chance: Random) -> Sequence[str]:
    """The store cannot be written to during one run, which has some pictures to render."""
    lost = chance.choice(sorted(project.results.glob("store/images/*/*.png")))
    lost.unlink()
    for record in project.results.glob("faults/records/**/*.parquet"):
        record.unlink()
    store = project.results / "store"
    _mount("--bind", str(store), str(store))
    _mount("-o", "remount,ro,bind", str(store))
    project.end(project.begin())
    subprocess.run(["umount", str(store)], check=True)
    return (lost.stem,)


def _moved_clock(days: float, project: Project, chance: Random) -> Sequence[str]:
    """Files of all kinds that were written in the future, or long ago."""
    files = [path for path in project.folder.rglob("*") if path.is_file() and ".snakemake" not in path.parts]
    then = time.time() + days * _DAY
    for path in chance.sample(sorted(files), chance.randrange(1, 12)):
        os.utime(path, (then, then))
    project.end(project.begin())
    return ()


def _leftovers(project: Project, chance: Random) -> Sequence[str]:
    """What a process that is gone had begun to write, another one's socket and lock, and a lock that nobody holds."""
    picture = chance.choice(sorted(project.results.glob("store/images/*/*.png")))
    subprocess.run([sys.executable, "-c", _HALF_WRITTEN, str(picture)], check=True)
    if chance.random() < 0.5:
        then = time.time() + 400 * _DAY
        for path in picture.parent.glob(".*.tmp"):
            os.utime(path, (then, then))
    folder = project.temporary / f"darkroom-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    own = folder / f"4194303-1-{mark().rpartition('-')[2]}"  # of a process that there is not, on this machine
    own.mkdir(mode=0o700)
    for name in ("0.sock", "0.lock"):
        (own / name).touch()
    (project.results / "faults/.lock").touch()
    chance.choice(sorted(project.results.glob("faults/records/**/*.parquet"))).unlink()
    project.end(project.begin())
    return ()


# ---- the table ----

KINDS: tuple[Kind, ...] = (
    Kind("SIGKILL of the worker", partial(_kill, ("worker",)), at_once=True),
    Kind("SIGKILL of a render job", partial(_kill, ("render",)), at_once=True),
    Kind("SIGKILL of the encode process", partial(_kill, ("encode",)), at_once=True),
    Kind("SIGKILL of a job of plan or review", partial(_kill, ("plan", "checkpoint", "manifest", "report"))),
    Kind("SIGKILL of Snakemake", _kill_snakemake),
    Kind("SIGKILL of everything", partial(_kill_snakemake, all_of_it=True)),
    Kind("SIGINT", partial(_signalled, signal.SIGINT)),
    Kind("SIGTERM", partial(_signalled, signal.SIGTERM)),
    Kind("two runs at once", _two_runs),
    Kind("a GPU that fails once", partial(_failing_gpu, 1), at_once=True),
    Kind("a GPU that fails twice", partial(_failing_gpu, 2), at_once=True),
    *(
        Kind(f"{what}, {damage.__name__.replace('_', ' ')}", partial(_damaged, pattern, damage), finished=True)
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
    Kind("another LoRA in mid-run", partial(_swapped, "mine.safetensors", _other_lora)),
    Kind("no LoRA in mid-run", partial(_swapped, "mine.safetensors", Path.unlink)),
    Kind("another reference image in mid-run", partial(_swapped, "red.png", _other_picture)),
    Kind("no room for larger files", _full_disk),
    Kind("a full file system", _small_file_system),
    Kind("a read-only store", _read_only, finished=True),
    Kind("files of the future", partial(_moved_clock, 400), finished=True),
    Kind("files of long ago", partial(_moved_clock, -4000), finished=True),
    Kind("leftovers of processes that are gone", _leftovers, finished=True),
)
NEED_ROOT = {"a full file system", "a read-only store"}


# ---- moments and processes ----


def _at_a_moment(project: Project, run: subprocess.Popen[bytes], chance: Random) -> None:
    """Return after a random time from the run's first file, first embedding or first picture on, or at its end."""
    awaited = chance.choice(["faults/contents.json", "store/embeddings/*/*.safetensors", "store/images/*/*.png"])
    before = {*project.results.glob(awaited)}
    if not before:
        wait_for(lambda: [*project.results.glob(awaited)], run)
    time.sleep(chance.uniform(0, 5))


def _jobs(project: Project) -> list[psutil.Process]:
    """The processes of `darkroom rule …`."""
    return [each for each in project.processes() if {"darkroom", "rule"} <= {*each.info["cmdline"]}]


def _killed(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)
