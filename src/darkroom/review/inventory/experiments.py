"""Which experiments results/ has: their folders, what each takes on the disk, when it changed, whether a run has it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from darkroom.filesystem.lock import is_held
from darkroom.store import STORE, ExperimentFolder

Inode = tuple[int, int]  # device and number: a file, whatever it is called and however often


@dataclass(frozen=True)
class StoredFile:
    """A file below results/. Hard links of one file have the same `inode`."""

    path: Path
    inode: Inode
    links: int
    size: int  # bytes
    changed_at: float  # seconds since 1970


def experiment_folders(results: Path) -> list[ExperimentFolder]:
    """Those of results/ in which a run was begun, by name; none where there is no results/.

    A link to another one of them, such as results/latest, is that one and no other.
    """
    if not results.is_dir():
        return []
    folders = [ExperimentFolder(path) for path in sorted(results.iterdir()) if path.name != STORE and path.is_dir()]
    return [folder for folder in folders if _is_experiment(folder) and not _is_another_name(folder.root)]


def changed_at(folder: ExperimentFolder) -> float:
    """When a run, or a comparison, last wrote its results; seconds since 1970."""
    files = (folder.manifest, folder.contents, folder.comparison, folder.root)
    return next(file.stat().st_mtime for file in files if file.exists())


def is_running(folder: ExperimentFolder) -> bool:
    """Whether a run, or `accept`, has the experiment now."""
    return is_held(folder.lock)


def files_below(folder: Path) -> Iterator[StoredFile]:
    """Every file, links to others not followed; one that goes away meanwhile is left out."""
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                seen = os.lstat(path := Path(root, name))
            except FileNotFoundError:
                continue
            yield StoredFile(path, (seen.st_dev, seen.st_ino), seen.st_nlink, seen.st_size, seen.st_mtime)


def size_of(files: Iterator[StoredFile]) -> int:
    """Bytes, several links of one file once."""
    return sum({file.inode: file.size for file in files}.values())


def _is_experiment(folder: ExperimentFolder) -> bool:
    return any(path.exists() for path in (folder.contents, folder.manifest, folder.lock))


def _is_another_name(path: Path) -> bool:
    """Whether it is a link to a folder beside it."""
    return path.is_symlink() and path.resolve().parent == path.parent.resolve()
