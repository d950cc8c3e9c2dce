"""What the pictures of a combination took, noted with each of them: an attempt that is cut short is not forgotten.

    results/<experiment>/costs/<model>/<lora>/<prompts>/<process>.jsonl      lines of pictures, a file a process

A picture is noted before it is in the store, so that none is there without, and again with the time that saving took.
A later attempt has them in its records. They go when a run has ended well, since of the next run's point of view its
pictures were there.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from darkroom.errors import StoreError
from darkroom.files.columns import row_of, value_of
from darkroom.filesystem.owner import mark
from darkroom.record.circumstances import Cost


def note_cost(folder: Path, request_id: str, cost: Cost) -> None:
    """StoreError where that cannot be written."""
    path = folder / f"{mark()}.jsonl"
    line = f"{json.dumps({'request_id': request_id, **row_of(cost)})}\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            file.write(line.encode())  # one write, so that threads do not mix
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from error


def read_costs(folder: Path) -> Mapping[str, Cost]:
    """By request_id, without lines that were cut off; of a picture that was begun twice, what was saved, and last."""
    lines = [line for path in folder.glob("*.jsonl") for line in path.read_bytes().splitlines()]
    return dict(sorted(filter(None, map(_cost, lines)), key=_order))


def _order(noted: tuple[str, Cost]) -> tuple[bool, str]:
    _, cost = noted
    return cost.seconds_save is not None, cost.started_at


def _cost(line: bytes) -> tuple[str, Cost] | None:
    try:
        values = json.loads(line)
        return str(values["request_id"]), value_of(Cost, values)
    except (ValueError, KeyError, TypeError):
        return None
