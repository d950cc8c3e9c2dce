"""A program of the user's as a scorer: it reads the manifest and writes a table of numbers.

    command: python faces.py {manifest} {table}

It runs in the folder one works in, without a shell. The table is Parquet or CSV, whatever its name ends in.
"""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from darkroom.display import LINES, printable
from darkroom.errors import StoreError
from darkroom.scoring.command import MANIFEST, TABLE, words_of
from darkroom.scoring.table import read_foreign

_SAID = 2_000  # characters of what it printed, from the end


def run_command(where: str, command: str, manifest: Path, known: Sequence[str]) -> dict[str, dict[str, float]]:
    """Columns by name, numbers by request_id. `where`: of whose command, for messages; `known`: all request_ids."""
    words = words_of(where, command)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "table")
        filled = [word.replace(MANIFEST, str(manifest)).replace(TABLE, str(table)) for word in words]
        try:
            done = subprocess.run(filled, capture_output=True, text=True, errors="replace", check=False)
        except OSError as error:
            raise StoreError(f"{where}: {words[0]} cannot be run: {error.strerror}") from error
        print(printable(done.stdout, but=LINES), end="")
        if done.returncode:
            said = " ".join(done.stderr.split())[-_SAID:] or "nothing on stderr"
            raise StoreError(f"{where}: {words[0]} ended with status {done.returncode}: {said}")
        if not table.is_file():
            raise StoreError(f"{where}: {words[0]} ended well and wrote no table: {TABLE} in the command is its path")
        return read_foreign(table, known, called=f"{where}: the table that {words[0]} wrote")
