"""Why a job came to nothing, beside its log: results/<experiment>/logs/<rule>/….json, what failed pictures are told by.

Each attempt of a job begins by writing that it ended without a word, which stays where it is killed; a run begins by
forgetting what the one before it left. A job that renders several combinations leaves what it ended with in its output.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from darkroom.errors import StoreError
from darkroom.files.atomic import read_json, write_json
from darkroom.names import Names


@dataclass(frozen=True)
class JobError:
    """A job's error. `pictures`: by request_id, where each of some pictures came to nothing for a reason of its own.

    `ended`: False while the job may still be at work, since it left this as it began.
    """

    text: str
    pictures: Mapping[str, str] = field(default_factory=dict)
    ended: bool = True

    def write(self, log: Path) -> None:
        write_json(_beside(log), asdict(self), durable=False)


def read_job_error(log: Path) -> JobError | None:
    """The error that a job with this log left; None where it left none."""
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
        return JobError(**values)
    except TypeError as error:
        raise StoreError(f"{path}: expected text, pictures and ended, got {str(values)[:80]}; delete it") from error


def begin_job(log: Path) -> None:
    """Leave the error of a job that is killed, by the system when memory runs out for one."""
    said = f"ended without a word: it was killed, perhaps for lack of memory; {log} has what it said before"
    JobError(said, ended=False).write(log)


def end_job(log: Path) -> None:
    """The job has done what it was for, or is not to be heard of: it was interrupted."""
    _beside(log).unlink(missing_ok=True)


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


def _beside(log: Path) -> Path:
    return log.with_suffix(".json")
