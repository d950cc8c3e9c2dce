"""What importing a training run will write, and the words about it. Knows no trainer's format."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from darkroom.display import printable
from darkroom.plan.conf.owned_files import CONF, ConfFile, Writing, is_as_imported, write_conf_files
from darkroom.previews import Preview, previews_file, read_previews, write_previews

_NAMED = 3  # pictures named in a line before it goes on with their number


@dataclass(frozen=True)
class ImportedJob:
    """Files of conf/, and the stored pictures; () where the run has none.

    `written_once`: an experiment and its files, people's own once the experiment is there; `outdated`: files of an
    earlier import in whose place others stand.
    """

    name: str
    heading: str
    files: tuple[ConfFile, ...]
    previews: tuple[Preview, ...]
    notes: tuple[str, ...]
    written_once: tuple[ConfFile, ...] = ()
    outdated: tuple[Path, ...] = ()

    def write(self, writing: Writing) -> list[str]:
        """Write what is new or different, and say what was done; with `dry_run`, what would be, and the files' text.

        Errors as those of `write_conf_files`.
        """
        once, own = self.written_once, [file.path for file in self.written_once if file.path.exists()]
        new = () if once and once[0].path in own else tuple(file for file in once if file.path not in own)
        done = write_conf_files((*self.files, *new), writing)
        done += [f"{path}: is yours, and stays as it is" for path in own]
        done += [self._remove(path, writing.dry_run) for path in self.outdated]
        if self.previews or previews_file(self.name).exists():
            done.append(self._write_previews(writing.dry_run))
        if writing.dry_run:
            files = (*self.files, *new)
            done += [line for file in files for line in ("", f"{file.path}:", *file.text.splitlines())]
        else:
            done += self._next()
        return [*self._summary(), *done]

    def _next(self) -> Iterator[str]:
        """What to type now; where the job asks for no pictures, a note says what is to be done before."""
        if self.previews:
            yield f"darkroom regress {self.name}"
        if self.written_once and (CONF / "prompts" / f"{self.name}.yaml").exists():
            yield f"darkroom run {self.written_once[0].path.stem}"

    def _remove(self, path: Path, dry_run: bool) -> str:
        if not dry_run:
            path.unlink()
        done = "would be removed" if dry_run else "removed"
        whole = CONF / "lora" / f"{self.name}.yaml"
        return f"{path}: {done}: is of an earlier import; its checkpoint is a value of {whole} now, or gone"

    def _write_previews(self, dry_run: bool) -> str:
        file = previews_file(self.name)
        if not self.previews:
            return f"{file}: is of an earlier import, and stays, though the job has no previews now"
        if file.is_file() and read_previews(file) == self.previews:
            return f"{file}: as it is"
        if dry_run:
            return f"{file}: would be written"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_previews(file, self.name, self.previews)
        return f"{file}: written"

    def _summary(self) -> Iterator[str]:
        """How many previews can be reproduced, and what keeps the others from it, each group with its number."""
        yield printable(self.heading)
        groups: dict[str, list[Preview]] = defaultdict(list)
        for preview in self.previews:
            if preview.reason is not None:
                groups[preview.reason].append(preview)
        others = sum(map(len, groups.values()))
        if self.previews:
            yield f"{len(self.previews)} previews: {len(self.previews) - others} reproducible, {others} not"
        for reason, rows in groups.items():
            named = ", ".join(map(_named, rows[:_NAMED])) + (", …" if len(rows) > _NAMED else "")
            yield printable(f"  not reproducible: {len(rows)}: {reason}: {named}")
        if accepted := sum(preview.accepted_by is not None for preview in self.previews):
            yield f"  {accepted} of them accepted since an earlier import: they stay"
        for note in self.notes:
            yield printable(f"  {note}")


def _named(preview: Preview) -> str:
    return preview.path.rpartition("/")[2] if preview.path else f"{preview.lora} {preview.prompts} {preview.index}"


def outdated(name: str, files: Sequence[ConfFile], source: str) -> Iterator[Path]:
    """The files of single checkpoints that earlier imports wrote, and nobody has edited."""
    yield from (path for path in _of_checkpoints(name, files) if is_as_imported(path, source))


def _of_checkpoints(name: str, files: Sequence[ConfFile]) -> list[Path]:
    planned = {file.path for file in files}
    found = sorted((CONF / "lora").glob(f"{name}_{'[0-9]' * 9}.yaml"))
    return [path for path in found if path not in planned]


def stale(name: str, files: Sequence[ConfFile], source: str) -> Iterator[str]:
    """A line for each file that goes ahead of the checkpoint itself, and for prompts that the job lost."""
    for path in _of_checkpoints(name, files):
        if not is_as_imported(path, source):
            yield f"{path}: is yours, and goes ahead of what {CONF / 'lora' / name}.yaml says of this checkpoint"
    planned = {file.path for file in files}
    first = CONF / "prompts" / f"{name}_first.yaml"
    is_a_jobs_own = (CONF / "experiment" / first.name).exists()  # of a job that has this name
    if first not in planned and first.exists() and not is_a_jobs_own:
        yield f"{first}: is of an earlier import; the job has no prompts of first_sample now"


def with_accepted(rows: Sequence[Preview], file: Path) -> tuple[Preview, ...]:
    """Rows that somebody has accepted stay, and take the place of what would be imported once more."""
    known = read_previews(file) if file.is_file() else ()
    kept = [row for row in known if row.accepted_by is not None]
    keys = {row.key for row in kept}
    return (*(row for row in rows if row.key not in keys), *kept)
