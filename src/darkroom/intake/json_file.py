"""Reads JSON that somebody else wrote, a file or a line of one. Every failure is a ConfigError that says where."""

from pathlib import Path
from typing import Any

from darkroom.errors import ConfigError
from darkroom.files import json_text
from darkroom.files.regular_file import read_text


def read_json(path: Path, limit: int | None = None) -> Any:
    """The value in a file; `limit`: bytes, where it may have more or fewer than any text."""
    return parse_json(read_text(path) if limit is None else read_text(path, limit), str(path))


def parse_json(text: str, place: str) -> Any:
    """The value of a text that was found at `place`."""
    try:
        return json_text.parse_json(text)
    except ValueError as error:
        raise ConfigError(f"{place}: {error}") from error
