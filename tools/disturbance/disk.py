"""Faults of what lies on the disk: damaged, swapped, moved, full, of another time. As processes.py has it."""

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random

from darkroom.filesystem.owner import mark
from disturbance.damage import Damage
from disturbance.moments import at_a_moment
from disturbance.project import REPOSITORY, Project

_DAY = 86400.0
_HALF_WRITTEN = """
import os, sys
from pathlib import Path
from darkroom.files.atomic import atomic

with atomic(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    os._exit(0)
"""


def damaged(pattern: str, damage: Damage, project: Project, chance: Random) -> Sequence[str]:
    """One of the files of a finished run; half the time a record is missing too, so that there is something to do."""
    path = chance.choice(sorted(project.results.glob(pattern)))
    path.chmod(0o644)
    damage(path, chance)
    if chance.random() < 0.5:
        chance.choice(sorted(project.results.glob("faults/records/**/*.parquet"))).unlink(missing_ok=True)
    project.end(project.begin())
    return (path.stem,)


def swapped(name: str, other: Callable[[Path], None], project: Project, chance: Random) -> Sequence[str]:
    """A file that conf/ names is another one from a random moment of a run on, and itself again after it."""
    path = project.folder / name
    shutil.copy2(path, project.root / path.name)
    run = project.begin()
    at_a_moment(project, run, chance)
    other(path)
    project.end(run)
    (project.root / path.name).replace(path)
    return ()


def other_lora(path: Path) -> None:
    shutil.copy(REPOSITORY / "demo/demo_lokr.safetensors", path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def other_prompts(path: Path) -> None:
    path.write_text(path.read_text().replace("a dog", "a red house"))


def other_picture(path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64), "blue").save(path)


def full_disk(project: Project, chance: Random) -> Sequence[str]:
    """No file may grow beyond some size, which is enough for what Snakemake makes of the Snakefile."""
    largest = chance.choice([8, 30, 100, 200]) * 1024
    project.end(project.begin(partial(resource.setrlimit, resource.RLIMIT_FSIZE, (largest, largest))))
    return ()


def small_file_system(place: str, limits: Sequence[str], project: Project, chance: Random) -> Sequence[str]:
    """A folder of the project, or of its temporary files, is a file system of its own that is full before long.

    It is larger for the next run. `limits`: options of a tmpfs, of which one is taken.
    """
    folder = project.root / place
    folder.mkdir(parents=True, exist_ok=True)
    mount("-t", "tmpfs", "-o", chance.choice(limits), "tmpfs", str(folder))
    project.end(project.begin())
    mount("-o", "remount,size=64m,nr_inodes=10k", str(folder))
    return ()


def store_elsewhere(project: Project, chance: Random) -> Sequence[str]:
    """results/ is a link to another file system, and the store one of its own, so that nothing can be a hard link."""
    other = project.root / "elsewhere"
    for folder in (other, other / "store"):
        folder.mkdir()
        mount("-t", "tmpfs", "tmpfs", str(folder))
    project.results.symlink_to(other)
    project.end(project.begin())
    return ()


def read_only(project: Project, chance: Random) -> Sequence[str]:
    """The store cannot be written to during one run, which has some pictures to render."""
    lost = chance.choice(sorted(project.results.glob("store/images/*/*.png")))
    lost.unlink()
    for record in project.results.glob("faults/records/**/*.parquet"):
        record.unlink()
    store = project.results / "store"
    mount("--bind", str(store), str(store))
    mount("-o", "remount,ro,bind", str(store))
    project.end(project.begin())
    subprocess.run(["umount", str(store)], check=True)
    return (lost.stem,)


def moved(project: Project, chance: Random) -> Sequence[str]:
    """results/ is moved away in mid-run, and put back in the place of what the run has made anew."""
    run, away = project.begin(), project.root / "away"
    at_a_moment(project, run, chance)
    project.results.rename(away)
    project.end(run)
    shutil.rmtree(project.results, ignore_errors=True)
    away.rename(project.results)
    return ()


def removed(folder: str, project: Project, chance: Random) -> Sequence[str]:
    """A folder, in mid-run; all its pictures may be rendered again."""
    run = project.begin()
    at_a_moment(project, run, chance)
    shutil.rmtree(project.root / folder, ignore_errors=True)
    (project.root / "tmp").mkdir(exist_ok=True)
    project.end(run)
    return ("",)


def folder_in_its_place(project: Project, chance: Random) -> Sequence[str]:
    """Of a file that the run wants to write; a person takes it away again."""
    names = ["manifest.parquet", "report.html", "contents.json", "live.js", "finished"]
    patterns = ["records/**/*.parquet", "requests/**/*.json", "drafts/**/*.json", "images/**/*.png", "logs/**/*.log"]
    paths = [path for pattern in [*names, *patterns] for path in sorted(project.results.glob(f"faults/{pattern}"))]
    path = chance.choice(paths)
    path.unlink()
    (path / "inside").mkdir(parents=True)
    project.end(project.begin())
    if path.is_dir():
        shutil.rmtree(path)
    return ()


def moved_clock(days: float, project: Project, chance: Random) -> Sequence[str]:
    """Files of all kinds that were written in the future, or long ago."""
    files = [path for path in project.folder.rglob("*") if path.is_file() and ".snakemake" not in path.parts]
    then = time.time() + days * _DAY
    for path in chance.sample(sorted(files), chance.randrange(1, 12)):
        os.utime(path, (then, then))
    project.end(project.begin())
    return ()


def leftovers(project: Project, chance: Random) -> Sequence[str]:
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


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)
