"""What importing a training run will write, and the words about it. Knows no trainer's format."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from darkroom.display import printable
from darkroom.plan.conf.owned_files import CONF, ConfFile, Writing, write_conf_files
from darkroom.previews import Preview, previews_file, read_previews, write_previews

_NAMED = 3  # pictures named in a line before it goes on with their number


@dataclass(frozen=True)
class ImportedJob:
    """Files of conf/, and the stored pictures; () where the run has none."""

    name: str
    heading: str
    files: tuple[ConfFile, ...]
    previews: tuple[Preview, ...]
    notes: tuple[str, ...]

    def write(self, writing: Writing) -> list[str]:
        """Write what is new or different, and say what was done; with `dry_run`, what would be, and the files' text.

        Errors as those of `write_conf_files`.
        """
        done = write_conf_files(self.files, writing)
        if self.previews or previews_file(self.name).exists():
            done.append(self._write_previews(writing.dry_run))
        if writing.dry_run:
            done += [line for file in self.files for line in ("", f"{file.path}:", *file.text.splitlines())]
        elif self.previews:
            done.append(f"darkroom regress {self.name}")
        return [*self._summary(), *done]

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


def stale(name: str, files: Sequence[ConfFile]) -> Iterator[str]:
    """A line for each LoRA whose checkpoint the trainer has deleted since, and for prompts that the job lost."""
    planned = {file.path for file in files}
    for path in sorted((CONF / "lora").glob(f"{name}_{'[0-9]' * 9}.yaml")):
        if path not in planned:
            yield f"{path}: is of an earlier import; its checkpoint is gone, or cannot be applied any more"
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
