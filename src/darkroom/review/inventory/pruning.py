"""`darkroom prune`: what of results/ nothing refers to any more, and old experiments where that is asked for.

A file of the store stays while an experiment, a preview or conf/ names its id, while it has a link elsewhere (removing
it would free nothing), and while it is so young that something may be at work with it.
"""

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from darkroom.display import printable, sized, table
from darkroom.errors import DarkroomError, StoreError, raise_together
from darkroom.files.atomic import read_json
from darkroom.files.content import SUMS
from darkroom.files.weight_file import identity
from darkroom.review.inventory.experiments import (
    Inode,
    StoredFile,
    changed_at,
    experiment_folders,
    files_below,
)
from darkroom.review.inventory.references import References, references
from darkroom.store import STORE, ExperimentFolder
from darkroom.trials import TRIAL_FOLDERS

YOUNG = 3600.0  # seconds for which a file of the store, or a trial, may be somebody's who holds no lock
_IMAGES, _EMBEDDINGS, _DIGESTS = "images", "embeddings", "digests"  # folders of the store
_PICTURES, _LATENTS, _TEXTS, _NOTES = "pictures", "latents", "embeddings of texts", "digests of files that are gone"
_TRIALS = "trials of explain and floor"


@dataclass(frozen=True)
class OldExperiment:
    """One that has not changed for so long, and goes as a whole."""

    folder: ExperimentFolder
    changed_at: float  # seconds since 1970


@dataclass(frozen=True)
class Share:
    """What an experiment uses of the store, and what of that others use too; bytes."""

    experiment: str
    used: int
    shared: int


@dataclass(frozen=True)
class Pruning:
    """What would go, and what it would free, by kind."""

    old: tuple[OldExperiment, ...]
    spared: tuple[str, ...]  # sentences: what is old, and stays
    files: Mapping[str, tuple[Path, ...]]  # by kind, single files
    freed: int  # bytes
    shares: tuple[Share, ...]

    @property
    def is_empty(self) -> bool:
        return not self.old and not any(self.files.values())

    def text(self) -> str:
        """For people, before they are asked: whole experiments first."""
        lines = [f"{each.folder.root}: last changed {_day(each.changed_at)}: goes as a whole" for each in self.old]
        lines += self.spared
        lines += [f"{len(paths):6} {kind}" for kind, paths in self.files.items() if paths]
        freed = f"would free {sized(self.freed)}"
        lines += ["nothing to remove: something refers to all that is older than an hour" if self.is_empty else freed]
        if self.shares:
            rows = [(each.experiment, sized(each.used), sized(each.shared)) for each in self.shares]
            lines += ["", *table([("in the store of", "size", "of which others use too"), *rows], right=(1, 2))]
        return "\n".join(map(printable, lines))


def plan_pruning(
    results: Path, elsewhere: Sequence[Path], *, now: float, older: float | None = None, young: float = YOUNG
) -> Pruning:
    """What is to go. `elsewhere`: files that may name some of results/; `now`: seconds since 1970; ages in seconds.

    `older`: whole experiments that have not changed for longer; None for none. StoreError where nobody can tell what an
    experiment needs.
    """
    # 1. Which experiments go, and which stay with what they name
    named = {folder.root: references(_own_files(folder)) for folder in experiment_folders(results)}
    outside = references(elsewhere)
    old, spared = _old(named, outside, now - older if older is not None else 0.0)
    gone = {each.folder.root for each in old}
    kept = {folder: refs for folder, refs in named.items() if folder not in gone}
    # 2. Files of experiments that go
    trials = [file for folder in kept for file in _trials(ExperimentFolder(folder), now - young)]
    doomed = [*(file for folder in gone for file in files_below(folder)), *trials]
    # 3. What of the store nothing needs then
    stored = list(files_below(results / STORE))
    ids = outside.ids.union(*(refs.ids for refs in kept.values()))
    links = Counter(file.inode for file in doomed)
    idle = {
        kind: [
            file
            for file in stored
            if _kind(file.path) == kind and file.changed_at < now - young and not _is_needed(file, ids, links)
        ]
        for kind in (_PICTURES, _LATENTS, _TEXTS, _NOTES)
    }
    files = {**{kind: [file.path for file in each] for kind, each in idle.items()}, _TRIALS: [t.path for t in trials]}
    return Pruning(
        old=tuple(old),
        spared=tuple(spared),
        files={kind: tuple(paths) for kind, paths in files.items()},
        freed=_freed([*doomed, *(file for each in idle.values() for file in each)]),
        shares=tuple(_shares(named, stored)),
    )


def prune(pruning: Pruning, results: Path) -> None:
    """Remove it; StoreError, all together, for what cannot be removed."""
    raise_together(_removed(pruning, results))


def _removed(pruning: Pruning, results: Path) -> Iterator[DarkroomError]:
    for each in pruning.old:
        try:
            shutil.rmtree(each.folder.root)
        except OSError as error:
            yield StoreError(f"{each.folder.root}: cannot be removed: {error.strerror or error}")
    for path in (path for paths in pruning.files.values() for path in paths):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            yield StoreError(f"{path}: cannot be removed: {error.strerror or error}")
    for folder in sorted(results.rglob("*/"), reverse=True):
        if _is_pruned_in(folder, results) and all(file.name == SUMS for file in folder.iterdir()):
            folder.joinpath(SUMS).unlink(missing_ok=True)
            folder.rmdir()


def _is_pruned_in(folder: Path, results: Path) -> bool:
    """A folder of the store, or of trials."""
    top, *below = folder.relative_to(results).parts
    return len(below) > 1 if top == STORE else bool(below) and below[0] in TRIAL_FOLDERS


def _own_files(folder: ExperimentFolder) -> Iterator[Path]:
    """Where an experiment names what it needs; trials have been told of."""
    trials = [folder.root / name for name in TRIAL_FOLDERS]
    for file in files_below(folder.root):
        if not any(file.path.is_relative_to(each) for each in trials):
            yield file.path


def _old(named: Mapping[Path, References], outside: References, before: float) -> tuple[list[OldExperiment], list[str]]:
    """Those that go, and a sentence for each that is as old and stays."""
    old, spared = [], []
    for root in named:
        folder = ExperimentFolder(root)
        when = changed_at(folder)
        if when >= before:
            continue
        others = [other for other, refs in named.items() if other != root and refs.names(root)]
        if root.is_symlink():
            spared.append(f"{root}: old, and stays: it is a link to {root.resolve()}")
        elif others or outside.names(root):
            who = ", ".join(map(str, others)) or "previews/ or conf/"
            spared.append(f"{root}: old, and stays: {who} names files in it")
        else:
            old.append(OldExperiment(folder, when))
    return old, spared


def _trials(folder: ExperimentFolder, before: float) -> Iterator[StoredFile]:
    """Files of trials that nobody has added to since: a link is as old as its picture, the folder that it is in not."""
    for name in TRIAL_FOLDERS:
        files = list(files_below(folder.root / name))
        if files and max(file.path.parent.stat().st_mtime for file in files) < before:
            yield from files


def _kind(path: Path) -> str | None:
    """Of a file of the store; None for what is not ours, or half written."""
    folder = path.parts[-3] if len(path.parts) > 2 else ""
    if path.name.startswith(".") or path.name == SUMS:
        return None
    if path.parent.name == _DIGESTS:
        return _NOTES
    if folder == _IMAGES:
        return _LATENTS if path.suffix == ".safetensors" else _PICTURES
    return _TEXTS if folder == _EMBEDDINGS else None


def _is_needed(file: StoredFile, ids: frozenset[str], doomed_links: Mapping[Inode, int]) -> bool:
    if _kind(file.path) == _NOTES:
        return _is_of_a_file(file.path)
    has_another_link = file.links > 1 + doomed_links.get(file.inode, 0)
    return has_another_link or _id(file.path) in ids


def _id(path: Path) -> str:
    """The content id that a file of the store is called by."""
    return path.name.partition(".")[0]


def _is_of_a_file(note: Path) -> bool:
    """Whether the file that a digest was noted of is there, and as it was."""
    try:
        noted = read_json(note)["file"]
        return bool(identity(noted[0]) == noted)
    except (StoreError, OSError, KeyError, TypeError, IndexError):
        return False


def _freed(files: Sequence[StoredFile]) -> int:
    """Bytes of the files of which every link goes."""
    links = Counter(file.inode for file in files)
    return sum({file.inode: file.size for file in files if links[file.inode] >= file.links}.values())


def _shares(named: Mapping[Path, References], stored: Sequence[StoredFile]) -> Iterator[Share]:
    content = [file for file in stored if _kind(file.path) in (_PICTURES, _LATENTS, _TEXTS)]
    users: dict[str, list[StoredFile]] = {}
    for root, refs in named.items():
        own = {file.inode for file in files_below(root)}
        users[root.name] = [file for file in content if file.inode in own or _id(file.path) in refs.ids]
    count = Counter(file.inode for files in users.values() for file in files)
    for name, files in users.items():
        shared = [file for file in files if count[file.inode] > 1]
        yield Share(name, sum(file.size for file in files), sum(file.size for file in shared))
    if idle := [file for file in content if not count[file.inode]]:
        yield Share("no experiment", sum(file.size for file in idle), 0)


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d}"
