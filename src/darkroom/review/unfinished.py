"""The manifest of a run that failed or was stopped: a row with the reason for each picture that is not there."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from darkroom.display import counted, first_line
from darkroom.errors import ImageError, VersionError
from darkroom.files.images.image_file import without_record
from darkroom.files.images.opened import read_bytes
from darkroom.names import Names
from darkroom.planned import Contents, PlannedCombination
from darkroom.record.embedded import EmbeddedRecord, read_embedded_record
from darkroom.record.rows import FAILED, NOT_RENDERED, Failure, Record, Row
from darkroom.request.request import Request
from darkroom.review.manifest import write_manifest
from darkroom.review.progress import job_error, planned_now
from darkroom.store import ExperimentFolder
from darkroom.telling.messages import FailedPictures, tell

_NO_TURN = "not rendered: the run ended before it was its turn"
_REASONS = 3  # sentences in the terminal; the page has all


def write_unfinished_manifest(folder: ExperimentFolder) -> list[Row]:
    """Tell why, write the manifest as far as it goes, and return the rows of the combinations that are not done.

    The experiment is `finished` no more, and records of what was asked before are gone: the next run renders what is
    left, and writes the manifest again. StoreError for files of ours that are missing or damaged.
    """
    combinations = Contents.read(folder.contents).combinations
    done = [each.names for each in combinations if each.done == each.images]
    left = [each.names for each in combinations if each.done != each.images]
    rows = [row for names in left for row in rows_of(folder, names)]
    for failed in failures_of(rows):  # before anything is written: the disk may be full
        tell(failed)
    for stale in (folder.finished, *map(folder.records, left)):
        stale.unlink(missing_ok=True)
    write_manifest([folder.records(names) for names in done], folder.manifest, rows)
    return rows


def rows_of(folder: ExperimentFolder, names: Names) -> list[Row]:
    """Of a combination whose render job did not end well: its pictures that are there, and why the others are not."""
    asked = planned_now(folder, names) or PlannedCombination.read(folder.draft(names))
    error = job_error(folder, names)

    def lack(request: Request) -> Failure:
        if error is None:
            return Failure.of(request, _NO_TURN, NOT_RENDERED)
        return Failure.of(request, error.pictures.get(request.request_id, error.text))

    return [_record(folder, request, asked.output) or lack(request) for request in asked.requests]


def failures_of(rows: Sequence[Row]) -> list[FailedPictures]:
    """How many pictures failed for which reason, each sentence once, the most frequent first."""
    failures = (row for row in rows if isinstance(row, Failure) and row.status == FAILED)
    errors = Counter(first_line(row.error) for row in failures)
    return [FailedPictures(count, error) for error, count in errors.most_common()]


def told(rows: Sequence[Row], asked: int, page: Path) -> str:
    """A few lines for the terminal: how many pictures are not there, and why, each sentence once.

    `asked`: pictures of all combinations. Where none failed, the run was stopped; maybe behind the last of them.
    """
    lost = Counter(row.status for row in rows if isinstance(row, Failure))
    if not lost[FAILED]:
        of = f"{asked - lost[NOT_RENDERED]:,} of {counted(asked, 'picture')}"
        return f"darkroom: stopped at {of}; the next run goes on from there; {page}\n"
    errors = failures_of(rows)
    counts = [f"{counted(count, 'picture')} {status}" for status, count in sorted(lost.items())]
    lines = [f"darkroom: {', '.join(counts)}; {page} shows which:"]
    lines += [f"  {each.reason} ({counted(each.pictures, 'picture')})" for each in errors[:_REASONS]]
    more = len(errors) - _REASONS
    lines += [f"  and {counted(more, 'more reason')}"] if more > 0 else []
    return "".join(f"{line}\n" for line in lines)


def _record(folder: ExperimentFolder, request: Request, output: Mapping[str, Any]) -> Record | None:
    """Of a picture that is there, and was rendered for just this request."""
    path = folder.image(request.title.names, request.title.image_name, output["format"])
    latents = path.with_suffix(".safetensors") if output["save_latents"] else None
    try:
        is_bare = output["metadata"] == "none"
        embedded = _of_bare(path, folder, request, output) if is_bare else read_embedded_record(path)
    except (ImageError, VersionError):  # none, or of no use: its render job would say so
        return None
    if embedded.request_id != request.request_id:
        return None
    return Record.found(embedded, path, output["format"], latents)


def _of_bare(path: Path, folder: ExperimentFolder, request: Request, output: Mapping[str, Any]) -> EmbeddedRecord:
    """Of a picture that carries no record: the store's, where that has the same picture."""
    stored = folder.store.image(request.request_id, output["format"], output["quality"])
    if without_record(read_bytes(path)) != without_record(read_bytes(stored)):
        raise ImageError(f"{path}: not the picture {stored}")
    return read_embedded_record(stored).reused_for(request)
