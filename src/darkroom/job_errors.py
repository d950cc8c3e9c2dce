"""Why a job came to nothing, beside its log: results/<experiment>/logs/<rule>/….json, what failed pictures are told by.

An attempt of a job leaves there that it has begun, and at its end the error, or nothing. For one that was killed the
run does, once it hears of that; for one that is stopped with its run nobody does. A run begins by forgetting what the
one before it left. A job that renders several combinations leaves what it ended with in its output.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from darkroom.errors import StoreError
from darkroom.files.atomic import atomic, read_json, write_json
from darkroom.filesystem.direct import open_direct
from darkroom.names import Names

_ROOM = 4096  # bytes, in which a full disk leaves room for an error
_KEPT = 900  # characters of it there, of 4 bytes at most


@dataclass(frozen=True)
class JobError:
    """A job's error. `pictures`: by request_id, where each of some pictures came to nothing for a reason of its own."""

    text: str
    pictures: Mapping[str, str] = field(default_factory=dict)

    def write(self, log: Path) -> None:
        """Whole or not at all; where the disk is full, less the pictures, in the room of what was left there before."""
        _write(log, self, JobError(self.text[:_KEPT]))


@dataclass(frozen=True)
class _Begun:
    """In the place of an error: an attempt that has not said yet what came of it."""

    begun: str  # when what is done here ends with another job: that job's log, from this one's folder

    def within(self, log: Path) -> Path | None:
        return log.parent / self.begun if self.begun else None


def read_job_error(log: Path) -> JobError | None:
    """The error that a job with this log left; None where it left none, or is at work, or was stopped with its run.

    Where it was a part of another job, which was killed meanwhile: that one's.
    """
    left = _read(log)
    if isinstance(left, _Begun):
        around = left.within(log)
        return read_job_error(around) if around else None
    return left


def begin_job(log: Path, within: Path | None = None) -> None:
    """Leave that an attempt has begun. `within`: the log of the job that does this along with other things."""
    around = os.path.relpath(within, log.parent) if within else ""
    _write(log, _Begun(around), _Begun(around))


def end_job(log: Path) -> None:
    """The job has done what it was for, or is not to be heard of: it was interrupted."""
    _beside(log).unlink(missing_ok=True)


def end_killed_job(log: Path, why: str | None) -> None:
    """The job is over: where it said nothing, it was killed. `why`: what is known of that, by its cluster."""
    if isinstance(_read(log), _Begun):
        reason = why or "it was killed, perhaps for lack of memory"
        JobError(f"ended without a word: {reason}; {log} has what it said before").write(log)


def forget_job_errors(logs: Path) -> None:
    """Of an earlier run, below the folder of its logs."""
    for path in logs.rglob("*.json"):
        path.unlink(missing_ok=True)


def write_member_errors(path: Path, errors: Mapping[Names, JobError]) -> None:
    """Of the combinations of a shard that came to nothing, the others being rendered."""
    write_json(path, {"failed": [[*names, asdict(error)] for names, error in errors.items()]})


def read_member_errors(path: Path) -> dict[Names, JobError]:
    """The inverse; StoreError for a file that is missing or of another version."""
    values = read_json(path)
    try:
        return {Names(*names): JobError(**error) for *names, error in values["failed"]}
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path}: of another version of Darkroom ({error}); run Snakemake again") from error


def _write(log: Path, left: JobError | _Begun, where_full: JobError | _Begun) -> None:
    path = _beside(log)
    try:
        with atomic(path, durable=False) as temporary:
            temporary.write_bytes(_as_json(left))
    except StoreError:
        if not _written_in_place(path, _as_json(where_full)):
            raise


def _as_json(left: JobError | _Begun) -> bytes:
    """With spaces behind it up to the size of every such file that is short enough."""
    return json.dumps(asdict(left), ensure_ascii=False).encode().ljust(_ROOM)


def _written_in_place(path: Path, content: bytes) -> bool:
    """Whether a file that is there has taken as many bytes as it had, or fewer."""
    try:
        with open_direct(path, "r+b", buffering=0) as file:
            return len(content) <= os.fstat(file.fileno()).st_size and file.write(content) == len(content)
    except OSError:
        return False


def _beside(log: Path) -> Path:
    return log.with_suffix(".json")


def _read(log: Path) -> JobError | _Begun | None:
    path = _beside(log)
    if not path.is_file():
        return None
    try:
        values = read_json(path)
    except StoreError:
        if path.is_file():
            raise
        return None  # the job has ended well meanwhile
    try:
        return _Begun(**values) if "begun" in values else JobError(**values)
    except TypeError as error:
        raise StoreError(f"{path}: expected begun, or text and pictures, got {str(values)[:80]}; delete it") from error
