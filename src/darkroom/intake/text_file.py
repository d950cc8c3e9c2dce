"""Reads text that somebody else wrote: UTF-8, of a bounded length. A ConfigError with the file's name says why not."""

from pathlib import Path

from darkroom.errors import ConfigError
from darkroom.files.regular_file import read_regular

MEGABYTE = 2**20
_BYTES = 4 * MEGABYTE


def read_text(path: Path, limit: int = _BYTES) -> str:
    """The text of a file of at most `limit` bytes, with or without a byte order mark before it."""
    content = read_regular(path, limit, ConfigError)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}: line {line}: not UTF-8 text: {error.reason}; save it as UTF-8") from error
