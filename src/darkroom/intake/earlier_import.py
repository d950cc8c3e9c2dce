"""What an earlier import of the same training run left: options that are stale, rows that somebody has accepted.

Knows no trainer's format.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from darkroom.plan.conf.owned_files import CONF, ConfFile
from darkroom.previews import Preview, read_previews


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
