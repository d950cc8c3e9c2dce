"""What a run tells the person who began it with `darkroom run`: messages, one a line, in a file that its terminal has.

Whatever is told is said on stderr as well: there a plain Snakemake shows it, and a `darkroom run` keeps it as its log.

{"planned": {"experiment": "demo", "pictures": 60, "there": 12, "combinations": 5, "models": 1}}
{"said": {"text": "warning: mine.safetensors: …"}}
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from darkroom.display import LINES, printable

VARIABLE = "DARKROOM_TOLD"  # of the environment: where the file lies; a run that nobody watches has none


@dataclass(frozen=True)
class Planned:
    """What conf/ asks for, in numbers; `there`: pictures that results/ has by now."""

    experiment: str
    pictures: int
    there: int
    combinations: int
    models: int


@dataclass(frozen=True)
class Began:
    """Snakemake has something to do, and its first job is about to start."""


@dataclass(frozen=True)
class Said:
    """What the person should know; the run goes on."""

    text: str


@dataclass(frozen=True)
class Refused:
    """Why the run ends before it has begun."""

    text: str


@dataclass(frozen=True)
class Judged:
    """How the comparison with stored previews came out."""

    text: str


@dataclass(frozen=True)
class FailedPictures:
    """Pictures that came to nothing for the same reason."""

    pictures: int
    reason: str


@dataclass(frozen=True)
class JobFailed:
    """Why a job came to nothing, where that cannot be written beside its log: no page will have it."""

    reason: str


Message = Planned | Began | Said | Refused | Judged | FailedPictures | JobFailed
_KINDS: Mapping[str, type[Message]] = {each.__name__.lower(): each for each in get_args(Message)}


def tell(message: Message) -> None:
    """To the terminal that watches this run; nothing is done where none does."""
    path = os.environ.get(VARIABLE)
    if path is None:
        return
    line = json.dumps({type(message).__name__.lower(): asdict(message)})
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    except OSError as error:  # a job on another machine, or a full disk: the log has it
        print(f"darkroom: {path}: cannot be written: {error.strerror}", file=sys.stderr)


def say(text: str) -> None:
    """On stderr, and to that terminal: whatever strangers wrote of it commands neither."""
    text = printable(text, but=LINES)
    print(f"darkroom: {text}", file=sys.stderr, flush=True)
    tell(Said(text))


def read(line: str) -> Message:
    """The inverse of what `tell` writes."""
    ((kind, values),) = json.loads(line).items()
    fields: Mapping[str, Any] = values
    return _KINDS[kind](**fields)
