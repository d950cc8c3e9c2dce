"""Why a job came to nothing, beside its log: results/<experiment>/logs/<rule>/….json, what failed pictures are told by.

Each attempt of a job begins by forgetting what the one before it left.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from darkroom.files.atomic import read_json, write_json


@dataclass(frozen=True)
class JobError:
    """A job's error. `pictures`: by request_id, where each of some pictures came to nothing for a reason of its own."""

    text: str
    pictures: Mapping[str, str] = field(default_factory=dict)

    def write(self, log: Path) -> None:
        write_json(_beside(log), asdict(self))


def read_job_error(log: Path) -> JobError | None:
    """The error that a job with this log left; None where it left none."""
    path = _beside(log)
    return JobError(**read_json(path)) if path.is_file() else None


def forget_job_error(log: Path) -> None:
    _beside(log).unlink(missing_ok=True)


def _beside(log: Path) -> Path:
    return log.with_suffix(".json")
