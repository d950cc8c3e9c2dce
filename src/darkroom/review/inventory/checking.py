"""`darkroom check`: whether store, pictures, records and previews are what was written, read to the last byte.

    store       the digests beside its files; one of an older version has none, and what its format shows of damage
    pictures    the digests in the records of their experiments
    records     the checksums in them, manifests and comparisons too
    previews    the digests in their lists

What is bad is taken away by `mend`, so that the next run makes it again and nothing else.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from darkroom.display import counted, printable, sized, table
from darkroom.errors import DarkroomError, without_place
from darkroom.files.atomic import read_json
from darkroom.files.content import SUMS, digests_of, fault_of, note_digest
from darkroom.files.weight_file import sha256_of
from darkroom.previews import PREVIEWS, read_previews
from darkroom.record.rows import read_record_table
from darkroom.review.inventory.experiments import Inode, StoredFile, files_below
from darkroom.review.regress.comparison import read_comparisons
from darkroom.store import STORE, ExperimentFolder, Store

STORED, SHOWN, RECORDS, PREVIEW = "store", "pictures", "records", "previews"  # kinds, in the order of the table


@dataclass(frozen=True)
class Bad:
    """A file that is not what was written, or is gone. `is_ours`: a run makes it again."""

    path: str
    kind: str
    fault: str

    @property
    def is_ours(self) -> bool:
        return self.kind != PREVIEW


@dataclass(frozen=True)
class Checked:
    """What was looked at, by kind. `undigested`: of the store, whole as far as their formats show it."""

    files: dict[str, int] = field(default_factory=Counter)
    bytes: dict[str, int] = field(default_factory=Counter)
    bad: list[Bad] = field(default_factory=list)
    undigested: list[str] = field(default_factory=list)

    def text(self, *, mended: bool) -> str:
        """For people: a table, then each bad file."""
        count = Counter(each.kind for each in self.bad)
        kinds = [kind for kind in (STORED, SHOWN, RECORDS, PREVIEW) if self.files.get(kind)]
        rows = [(kind, f"{self.files[kind]:,}", sized(self.bytes[kind]), str(count[kind])) for kind in kinds]
        lines = table([("", "files", "size", "bad"), *rows], right=(1, 2, 3)) if rows else ["there is nothing to check"]
        lines += [f"{each.path}: {each.fault}" for each in self.bad]
        return "\n".join(map(printable, [*lines, *self._last_lines(mended)])) + "\n"

    def _last_lines(self, mended: bool) -> Iterator[str]:
        if self.undigested:
            said = "have their digests noted from now on" if mended else "`darkroom check --mend` notes their digests"
            yield f"{counted(len(self.undigested), 'file')} of the store, of an older version, show no damage: {said}"
        ours = sum(each.is_ours for each in self.bad)
        if ours and mended:
            yield f"{counted(ours, 'file')} taken away: the next run of the experiments makes them again, and no more"
        elif ours:
            yield "`darkroom check --mend` takes them away, so that the next run makes them again, and no more"
        if ours < len(self.bad):
            yield "previews are not made again: bring them back from where they were, or accept others"

    def as_json(self, *, mended: bool) -> str:
        """For programs."""
        bad = [{**asdict(each), "mended": mended and each.is_ours} for each in self.bad]
        said = {"files": self.files, "bytes": self.bytes, "undigested": self.undigested, "bad": bad}
        return json.dumps(said, indent=1, ensure_ascii=False) + "\n"


def check(
    results: Path, folders: Sequence[ExperimentFolder], *, everything: bool, progress: Callable[[int, int], None]
) -> Checked:
    """Read all that these experiments have and use; `everything`: all that the store has, whoever uses it.

    `progress` hears how many files are done, and of how many.
    """
    return _Check(results, folders, everything, progress).checked()


def mend(checked: Checked) -> None:
    """Take away what a run makes again, and note the digests of what is whole and has none."""
    for each in checked.bad:
        if each.is_ours:
            Path(each.path).unlink(missing_ok=True)
    for path in checked.undigested:
        note_digest(Path(path), sha256_of(path))


@dataclass(frozen=True)
class _Shown:
    """A picture as the records of its experiment have it, or latents, of which they have no digest."""

    path: Path
    sha256: str | None


class _Check:
    """One pass. A file that has several names is read once."""

    def __init__(
        self, results: Path, folders: Sequence[ExperimentFolder], everything: bool, progress: Callable[[int, int], None]
    ) -> None:
        self._store, self._folders = Store(results / STORE), folders
        self._everything, self._progress = everything, progress
        self._checked, self._digests = Checked(), dict[Inode, str]()
        self._done = self._total = 0

    def checked(self) -> Checked:
        # 1. What there is: records first, since they name the rest
        shown, used = list[_Shown](), set[str]()
        for folder in self._folders:
            for path in _tables(folder):
                shown += self._table(path, folder, used)
            for path in folder.root.joinpath("embeddings").glob("[!.]*.json"):
                self._list(path, used)
        stored = [file for file in self._stored() if self._everything or file.path.name.partition(".")[0] in used]
        previews = [each for folder in self._folders for each in self._previews(folder)]
        shown = list(dict.fromkeys(shown))
        self._total = len(stored) + len(shown) + len(previews)
        # 2. Each to its last byte
        for file in stored:
            self._look(file.path, STORED, self._stored_fault(file))
        for each in shown:
            self._look(each.path, SHOWN, self._fault(each))
        for each in previews:
            self._look(each.path, PREVIEW, self._fault(each))
        return self._checked

    def _look(self, path: Path, kind: str, fault: str | None) -> None:
        self._count(path, kind)
        if fault:
            self._checked.bad.append(Bad(str(path), kind, fault))
        self._done += 1
        self._progress(self._done, self._total)

    def _count(self, path: Path, kind: str) -> None:
        self._checked.files[kind] += 1
        self._checked.bytes[kind] += path.stat().st_size if path.is_file() else 0

    def _stored(self) -> Iterator[StoredFile]:
        for name in ("images", "embeddings"):
            for file in files_below(self._store.root / name):
                if file.path.name != SUMS and not file.path.name.startswith("."):
                    yield file

    def _stored_fault(self, file: StoredFile) -> str | None:
        if known := digests_of(file.path):
            return None if self._digest(file.path) in known else "damaged: not what was written"
        fault = fault_of(file.path)
        if fault is None:
            self._checked.undigested.append(str(file.path))
        return fault

    def _fault(self, shown: _Shown) -> str | None:
        if not shown.path.is_file():
            return "gone"
        if shown.sha256 is not None and self._digest(shown.path) != shown.sha256:
            return "damaged, or changed by somebody: not what was written"
        return None if shown.sha256 is not None else fault_of(shown.path)

    def _digest(self, path: Path) -> str:
        seen = path.stat()
        inode = (seen.st_dev, seen.st_ino)
        if inode not in self._digests:
            self._digests[inode] = sha256_of(path)
        return self._digests[inode]

    def _table(self, path: Path, folder: ExperimentFolder, used: set[str]) -> Iterable[_Shown]:
        """What a table of the experiment shows; adds the ids to `used`."""
        self._count(path, RECORDS)
        try:
            if path == folder.comparison:
                read_comparisons(path)
                return []
            records = read_record_table(path)
        except DarkroomError as error:
            self._checked.bad.append(Bad(str(path), RECORDS, without_place(error, path)))
            return []
        used.update(records.column("request_id").to_pylist())
        if path == folder.manifest:
            return []
        names = ("image_path", "image_sha256", "latents_path")
        rows = list(zip(*(records.column(name).to_pylist() for name in names), strict=True))
        pictures = [_Shown(Path(image), sha256) for image, sha256, _ in rows if image]
        return pictures + [_Shown(Path(latents), None) for _, _, latents in rows if latents]

    def _list(self, path: Path, used: set[str]) -> None:
        """Adds the ids of a model's embeddings to `used`."""
        self._count(path, RECORDS)
        try:
            used.update(read_json(path)["embeddings"].values())
        except (DarkroomError, KeyError, TypeError, AttributeError) as error:
            self._checked.bad.append(Bad(str(path), RECORDS, without_place(error, path)))

    def _previews(self, folder: ExperimentFolder) -> list[_Shown]:
        path = PREVIEWS / folder.root.name / "previews.parquet"
        if not path.is_file():
            return []
        self._count(path, PREVIEW)
        try:
            return [_Shown(Path(each.path), each.sha256) for each in read_previews(path) if each.path and each.sha256]
        except DarkroomError as error:
            self._checked.bad.append(Bad(str(path), PREVIEW, without_place(error, path)))
            return []


def _tables(folder: ExperimentFolder) -> Iterator[Path]:
    yield from sorted(folder.root.joinpath("records").rglob("[!.]*.parquet"))
    yield from (path for path in (folder.manifest, folder.comparison) if path.is_file())
