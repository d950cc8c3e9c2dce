"""What a worker is doing, as it says itself in a file beside its log: results/<experiment>/logs/worker/<name>.json."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_type_hints

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
        state = _read(path)
        if state and not is_mark_of_gone(state.mark):
            yield state


def _read(path: Path) -> WorkerState | None:
    """None for one that is gone meanwhile, of another version, or no worker's at all."""
    try:
        values = read_json(path)
    except StoreError:
        return None
    if not isinstance(values, dict) or not values.keys() >= _NEEDED or not values.keys() <= _KINDS.keys():
        return None
    return WorkerState(**values) if all(_is_a(_KINDS[name], value) for name, value in values.items()) else None


def _is_a(kind: Any, value: Any) -> bool:
    return isinstance(value, kind) and (not isinstance(value, int | float) or abs(value) < _MOST)  # NaN is not


_KINDS = get_type_hints(WorkerState)
_NEEDED = {"name", "mark", "said_at"}
_MOST = 2**63
