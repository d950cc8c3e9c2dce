"""results/<experiment>/scores/<scorer>.parquet: what one scorer gave each picture, and such tables of anybody's.

A table has the column `request`, a picture's request_id, and a column of numbers for each score; a picture that it
leaves out, or a number that is null or NaN, is no score. Ours are Parquet; other people's may be CSV.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.display import counted, named
from darkroom.errors import StoreError
from darkroom.files.atomic import atomic
from darkroom.files.regular_file import read_regular

REQUEST = "request"
_BETTER, _SCORER = b"better", b"scorer"
_MOST_BYTES, _MOST_COLUMNS = 10**9, 50
_LISTED = 5


@dataclass(frozen=True)
class Score:
    """One column. `values`: by request_id, of the pictures that have one. `better`: "higher", "lower" or None."""

    name: str
    values: Mapping[str, float]
    better: str | None = None


def write_scores(path: Path, scorer: str, better: str | None, columns: Mapping[str, Mapping[str, float]]) -> None:
    """A row for each picture that any of the columns has, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    requests = sorted({request for values in columns.values() for request in values})
    table = pa.table(
        {
            REQUEST: pa.array(requests, pa.string()),
            **{
                name: pa.array([values.get(each) for each in requests], pa.float64())
                for name, values in columns.items()
            },
        }
    )
    said = {_SCORER: scorer.encode(), **({_BETTER: better.encode()} if better else {})}
    with atomic(path) as temporary:
        pq.write_table(table.replace_schema_metadata(said), temporary)


def read_scores(path: Path) -> tuple[Score, ...]:
    """The columns of a table of ours, named by the scorer; StoreError when it is missing or damaged."""
    table = _parquet(path, read_regular(path, _MOST_BYTES, StoreError))
    said = table.schema.metadata or {}
    scorer, better = said.get(_SCORER, b"").decode() or path.stem, said.get(_BETTER, b"").decode() or None
    columns = _columns(path, table.column_names, table.to_pylist())
    return tuple(
        Score(name if name == scorer else f"{scorer}.{name}", values, better) for name, values in columns.items()
    )


def read_foreign(path: Path, known: Sequence[str]) -> dict[str, dict[str, float]]:
    """The columns of a table that a program of the user's has written. StoreError for what cannot be meant.

    `known`: the request_ids that there are.
    """
    content = read_regular(path, _MOST_BYTES, StoreError)
    if content.startswith(b"PAR1"):
        table = _parquet(path, content)
        columns = _columns(path, table.column_names, table.to_pylist())
    else:
        columns = _columns(path, *_csv(path, content))
    strangers = sorted({request for values in columns.values() for request in values} - {*known})
    if strangers:
        raise StoreError(
            f"{path}: {counted(len(strangers), 'request')} that the manifest does not have, such as {strangers[0]!r}: "
            f"the column {REQUEST} is the manifest's request_id"
        )
    return columns


def _parquet(path: Path, content: bytes) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError, ValueError) as error:
        said = " ".join(str(error).split())
        raise StoreError(f"{path}: not a whole Parquet file ({said}); delete it, and run again") from error


def _csv(path: Path, content: bytes) -> tuple[Sequence[str], list[dict[str, Any]]]:
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig")), strict=True)
        return tuple(reader.fieldnames or ()), list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise StoreError(f"{path}: neither Parquet nor CSV in UTF-8 ({error})") from error


def _columns(path: Path, names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    if REQUEST not in names or not 2 <= len(names) <= _MOST_COLUMNS:
        raise StoreError(
            f"{path}: expected the column {REQUEST} and at least one of numbers, got {named(names, _LISTED) or 'none'}"
        )
    requests = [str(row[REQUEST]) for row in rows]
    if len({*requests}) < len(requests):
        twice = next(each for each in requests if requests.count(each) > 1)
        raise StoreError(f"{path}: {REQUEST} {twice!r} is there twice: a picture has one score")
    return {name: _numbers(path, name, rows) for name in names if name != REQUEST}


def _numbers(path: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    found = {}
    for row in rows:
        raw = row[name]
        try:
            value = math.nan if raw in (None, "") or isinstance(raw, bool) else float(raw)
        except (TypeError, ValueError):
            raise StoreError(f"{path}: {name}: expected a number, got {raw!r} for {row[REQUEST]}") from None
        if math.isfinite(value):
            found[str(row[REQUEST])] = value
    return found
