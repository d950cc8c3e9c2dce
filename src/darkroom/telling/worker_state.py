"""What a worker is doing, as it says itself in a file beside its log: results/<experiment>/logs/worker/<name>.json."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from darkroom.errors import StoreError
from darkroom.files.atomic import read_json, write_json
from darkroom.filesystem.owner import is_mark_of_gone

EVERY = 10.0  # seconds after which a worker says so again though nothing has changed
_SILENT = 6 * EVERY  # seconds after which nobody can tell whether it still is there


@dataclass(frozen=True, kw_only=True)
class WorkerState:
    """Bytes, and seconds since 1970. `mark`: the process; names and steps are of the picture in hand."""

    name: str  # of its log: machine, the cluster's job, GPU
    mark: str
    said_at: float
    doing: str = "starting"  # | waiting | rendering
    model: str = ""
    lora: str = ""
    picture: str = ""
    step: int = 0
    steps: int = 0
    rendered: int = 0  # pictures since it began
    seconds_each: float | None = None  # a picture; None before the first
    memory: int = 0

    @property
    def silent(self) -> float | None:
        """For how long it has said nothing, where that is longer than it should be."""
        seconds = time.time() - self.said_at
        return seconds if seconds > _SILENT else None

    def write(self, log: Path) -> None:
        write_json(log.with_suffix(".json"), asdict(self), durable=False)


def worker_states(folder: Path) -> Iterator[WorkerState]:
    """Those below the folder of workers' logs, by name, without those that this machine knows to have ended."""
    for path in sorted(folder.glob("[!.]*.json")):
        try:
            state = WorkerState(**read_json(path))
        except (StoreError, TypeError):  # it is gone meanwhile, or of another version
            continue
        if not is_mark_of_gone(state.mark):
            yield state
