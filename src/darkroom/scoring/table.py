"""results/<experiment>/scores/<scorer>.parquet: what one scorer gave each picture, and such tables of anybody's.

A table has the column `request`, a picture's request_id, and a column of numbers for each score; a picture that it
leaves out, or a number that is null or NaN, is no score. Ours are Parquet; other people's may be CSV.
"""

import csv
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.display import counted, named
from darkroom.errors import StoreError, one_line
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
    table = _parquet(str(path), read_regular(path, _MOST_BYTES, StoreError))
    said = table.schema.metadata or {}
    scorer, better = said.get(_SCORER, b"").decode() or path.stem, said.get(_BETTER, b"").decode() or None
    columns = _scores(str(path), _of_parquet(str(path), table))
    return tuple(
        Score(name if name == scorer else f"{scorer}.{name}", values, better) for name, values in columns.items()
    )


def read_foreign(path: Path, known: Sequence[str], called: str | None = None) -> dict[str, dict[str, float]]:
    """The columns of a table that a program of the user's has written. StoreError for what cannot be meant.

    `known`: the request_ids that there are; `called`: what messages call it, where its path says nothing to people.
    """
    called = called or str(path)
    content = read_regular(path, _MOST_BYTES, StoreError)
    is_parquet = content.startswith(b"PAR1")
    written = _of_parquet(called, _parquet(called, content)) if is_parquet else _of_csv(called, content)
    columns = _scores(called, written)
    strangers = sorted({request for values in columns.values() for request in values} - {*known})
    if strangers:
        raise StoreError(
            f"{called}: {counted(len(strangers), 'request')} that the manifest does not have, such as "
            f"{strangers[0]!r}: the column {REQUEST} is the manifest's request_id"
        )
    return columns


def _parquet(called: str, content: bytes) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise StoreError(f"{called}: not a whole Parquet file ({one_line(error)}); delete it, and run again") from error


def _of_parquet(called: str, table: Any) -> list[tuple[str, list[Any]]]:
    """Name and values of each column, as they are written; two may have one name."""
    columns = zip(table.column_names, table.columns, strict=True)
    return [(name, _values(called, name, column)) for name, column in columns]


def _values(called: str, name: str, column: Any) -> list[Any]:
    import pyarrow as pa

    try:
        values: list[Any] = column.to_pylist()
    except (pa.ArrowException, ValueError, ArithmeticError) as error:  # texts that are no UTF-8; times without a number
        expected = "texts in UTF-8" if name == REQUEST else "numbers"
        raise StoreError(f"{called}: {name}: expected {expected}, got {column.type} ({error})") from error
    return values


def _of_csv(called: str, content: bytes) -> list[tuple[str, list[Any]]]:
    try:
        head, *rows = [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig")), strict=True) if row] or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise StoreError(f"{called}: neither Parquet nor CSV in UTF-8 ({error})") from error
    if longer := [row for row in rows if len(row) > len(head)]:
        said = ",".join(longer[0])
        raise StoreError(f"{called}: {said}: has {len(longer[0])} values, and the head names {len(head)}")
    return [(name, [row[n] if n < len(row) else None for row in rows]) for n, name in enumerate(head)]


def _scores(called: str, columns: Sequence[tuple[str, list[Any]]]) -> dict[str, dict[str, float]]:
    """By column, the numbers by request."""
    names = [name for name, _ in columns]
    if REQUEST not in names or not 2 <= len(names) <= _MOST_COLUMNS:
        got = named(names, _LISTED) or "none"
        raise StoreError(f"{called}: expected the column {REQUEST} and at least one of numbers, got {got}")
    if not all(map(str.strip, names)):
        raise StoreError(f"{called}: a column has no name: got {named([repr(name) for name in names], _LISTED)}")
    if twice := _twice(names):
        raise StoreError(f"{called}: the column {twice} is there twice: a score has one")
    requests = [str(request) for request in dict(columns)[REQUEST]]
    if twice := _twice(requests):
        raise StoreError(f"{called}: {REQUEST} {twice!r} is there twice: a picture has one score")
    return {name: _numbers(called, name, requests, values) for name, values in columns if name != REQUEST}


def _twice(texts: Sequence[str]) -> str | None:
    return next((text for text, count in Counter(texts).items() if count > 1), None)


def _numbers(called: str, name: str, requests: Sequence[str], values: Sequence[Any]) -> dict[str, float]:
    found = {}
    for request, raw in zip(requests, values, strict=True):
        try:
            value = math.nan if raw in (None, "") or isinstance(raw, bool) else float(raw)
        except (TypeError, ValueError):
            raise StoreError(f"{called}: {name}: expected a number, got {raw!r} for {request}") from None
        if math.isfinite(value):
            found[request] = value
    return found
