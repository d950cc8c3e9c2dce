"""Reads the JSON files beside a base model's weights: config.json and those of a tokenizer."""

import json
from pathlib import Path
from typing import Any

from darkroom.errors import CheckpointError
from darkroom.files.weight_file import foreign_format

_SHOWN = 400  # bytes of a file that is another one


def check_is_itself(path: Path) -> None:
    """CheckpointError for what was fetched in place of a file, such as a pointer of git-lfs, by its first bytes."""
    try:
        with path.open("rb") as file:
            reason = foreign_format(file.read(_SHOWN))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    if reason:
        raise CheckpointError(f"{path}: expected JSON: {reason}")


def read_json_file(path: Path, what: str) -> dict[str, Any]:
    """Keys and values; CheckpointError where it is not `what`: missing, something else, no JSON, no keys."""
    if not path.is_file():
        raise CheckpointError(f"{path}: cannot be read as {what}: no such file; get the folder again")
    check_is_itself(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read as {what}: {error}; get it again") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: cannot be read as {what}: expected keys and values")
    return values
