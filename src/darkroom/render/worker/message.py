"""The messages between client and worker, and their form: one a line, a JSON mapping of its kind to its values.

{"prewarm": {"family": "flux2"}}
{"failed": {"text": "demo: …", "again": false}}

A client sends a Job, a Help, a SheetJob, an EncodeJob or a Prewarm; the worker answers a job with Progress after
Progress, then with Done, Failed, Lost, or Stopped, which a Stop of the client's may have brought about. Over two
streams, where one client stays (relay.py), it begins with Begin, Renew after Renew says that it is here, and Leave that
nobody waits for the job in hand.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from darkroom.errors import WorkerError
from darkroom.render.job import EncodeJob, Help, Job, SheetJob
from darkroom.render.progress import Progress

LONGEST = 2**20  # bytes of a message
_LONGEST_TEXT = 50_000  # characters of an error: up to 12 bytes each in JSON
_SHOWN = 60  # characters of what was got, in an error


@dataclass(frozen=True)
class Prewarm:
    """Import what renders a family; nobody waits for it."""

    family: str


@dataclass(frozen=True)
class Failed:
    """Why a message came to nothing. `again`: this worker told the job's earlier attempt the same."""

    text: str
    again: bool = False


@dataclass(frozen=True)
class Lost:
    """The GPU failed under the worker, which ends: nothing need be wrong with the job."""

    text: str


@dataclass(frozen=True)
class Begin:
    """Of a stream. `log`: the worker's, beside which it says what it is doing."""

    log: Path


@dataclass(frozen=True)
class Renew:
    """The client is still there."""


@dataclass(frozen=True)
class Leave:
    """Nobody waits for the job in hand any more."""


@dataclass(frozen=True)
class Stop:
    """Finish the picture in hand, and leave the others."""


@dataclass(frozen=True)
class Stopped:
    """Some pictures of the job are left, since somebody wanted it so."""

    text: str


@dataclass(frozen=True)
class Done:
    """Every picture of the job is in the store, and what came of it is written."""


Message = (
    Job
    | Help
    | SheetJob
    | EncodeJob
    | Prewarm
    | Begin
    | Renew
    | Leave
    | Stop
    | Progress
    | Failed
    | Lost
    | Stopped
    | Done
)
_KINDS: Mapping[str, type[Message]] = {each.__name__.lower(): each for each in get_args(Message)}


def encode(message: Message) -> bytes:
    """The message's line, with its end. A text too long for a message is cut: the worker's log has it whole."""
    values = {field.name: _plain(getattr(message, field.name)) for field in fields(message)}
    return json.dumps({type(message).__name__.lower(): values}).encode() + b"\n"


def decode(line: bytes) -> Message:
    """The inverse of `encode`; WorkerError for a line that is no message, down to each value's type."""
    try:
        content = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        raise WorkerError(f"message: expected a line of JSON, got {_short(line)}: {_short(error)}") from error
    if not isinstance(content, dict) or len(content) != 1 or not content.keys() <= _KINDS.keys():
        raise WorkerError(f"message: expected a mapping with one of {', '.join(_KINDS)}, got {_short(line)}")
    ((name, values),) = content.items()
    hints = get_type_hints(_KINDS[name])
    if not isinstance(values, dict) or values.keys() != hints.keys():
        raise WorkerError(f"message: {name}: expected a mapping of {', '.join(hints) or 'nothing'}, got {_short(line)}")
    return _KINDS[name](**{key: _typed(f"{name}.{key}", values[key], hint) for key, hint in hints.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return f"{value[:_LONGEST_TEXT]} … (the worker's log has all of it)"
    return value


def _typed(where: str, value: Any, hint: Any) -> Any:
    """A value of JSON as one of the types in an annotation, such as `float | None`."""
    types = get_args(hint) or (hint,)
    if Path in types and _is_path(value):
        return Path(value)
    if type(value) not in types:
        names = " or ".join("null" if each is type(None) else each.__name__ for each in types)
        raise WorkerError(f"message: {where}: expected {names}, got {_short(value)}")
    return value


def _is_path(value: Any) -> bool:
    """True for text that the file system takes: some bytes, without 0."""
    try:
        return isinstance(value, str) and value != "" and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:  # half a character
        return False


def _short(value: Any) -> str:
    shown = str(value) if isinstance(value, Exception) else repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
