"""What experiments, previews and conf/ refer to: content ids of the store, and files below results/.

Ids are looked for as such, 64 hex digits in any file of ours that is text, and in columns of that name: so references
of every version are found, and a digest that is no id costs nothing.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from darkroom.errors import StoreError, one_line

_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_TEXTS = (".json", ".yaml", ".yml")
_TABLES = ".parquet"
_COLUMNS = ("request_id", "path", "preview_path", "image_path", "latents_path")  # that name an id, or a file by its id


@dataclass(frozen=True)
class References:
    """What files of one experiment, or of conf/ and previews/, name."""

    ids: frozenset[str]
    texts: tuple[str, ...]  # in which names of files may stand

    def names(self, folder: Path) -> bool:
        """Whether a file below the folder is named."""
        return any(f"{folder}/" in text for text in self.texts)


def references(files: Iterable[Path]) -> References:
    """Of text files and tables; StoreError for a table that cannot be read: nobody knows what it names."""
    texts = tuple(text for path in files for text in _texts(path))
    return References(frozenset(found for text in texts for found in _ID.findall(text)), texts)


def _texts(path: Path) -> Iterator[str]:
    try:
        if path.suffix in _TEXTS:
            yield path.read_text(encoding="utf-8", errors="replace")
        elif path.suffix == _TABLES:
            yield from _cells(path)
    except FileNotFoundError:  # gone since the folder was listed
        return
    except OSError as error:
        raise _unreadable(path, error) from error


def _cells(path: Path) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            there = [name for name in _COLUMNS if name in file.schema_arrow.names]
            columns = file.read(columns=there).columns
    except pa.ArrowInvalid as error:
        raise _unreadable(path, error) from error
    yield from (str(value) for column in columns for value in column.to_pylist() if value is not None)


def _unreadable(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"{path}: cannot be read ({one_line(error)}), so nobody knows what its experiment needs; "
        "run it again, or delete the file"
    )
