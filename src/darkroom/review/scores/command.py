"""A program of the user's as a scorer: it reads the manifest and writes a table of numbers.

    command: python faces.py {manifest} {table}

It runs in the folder one works in, without a shell. The table is Parquet or CSV, whatever its name ends in.
"""

import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from darkroom.errors import ConfigError, StoreError
from darkroom.scoring.table import read_foreign

_SAID = 2_000  # characters of what it printed, from the end


def run_command(where: str, command: str, manifest: Path, known: Sequence[str]) -> dict[str, dict[str, float]]:
    """Columns by name, numbers by request_id. `where`: of whose command, for messages; `known`: all request_ids."""
    words = words_of(where, command)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "table")
        filled = [word.replace("{manifest}", str(manifest)).replace("{table}", str(table)) for word in words]
        try:
            done = subprocess.run(filled, capture_output=True, text=True, errors="replace", check=False)
        except OSError as error:
            raise StoreError(f"{where}: {words[0]} cannot be run: {error.strerror}") from error
        print(done.stdout, end="")
        if done.returncode:
            said = " ".join(done.stderr.split())[-_SAID:] or "nothing on stderr"
            raise StoreError(f"{where}: {words[0]} ended with status {done.returncode}: {said}")
        if not table.is_file():
            raise StoreError(f"{where}: {words[0]} ended well and wrote no table: {{table}} in the command is its path")
        return read_foreign(table, known)


def words_of(where: str, command: str) -> list[str]:
    """The command as a shell splits it; ConfigError where it is none."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
    if not words:
        raise ConfigError(f"{where}: expected a program and its arguments, got nothing")
    if missing := [name for name in ("{manifest}", "{table}") if not any(name in word for word in words)]:
        raise ConfigError(f"{where}: {' and '.join(missing)} should be in it: what it reads, and what it writes")
    return words
