"""Parquet files of ours: the columns of a dataclass, written whole or not at all, and read in every version so far.

A file says in its metadata of which version it is (`format`). What a file of an older version lacks is filled in; one
of a newer version is refused, since nobody can know what would be lost. Which columns there are, `columns.py` derives.
pyarrow is imported by the functions: importing this file is cheap.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from darkroom.errors import StoreError, VersionError, one_line
from darkroom.files.atomic import atomic
from darkroom.files.columns import fault, row_of, schema_of, value_of, version_of
from darkroom.files.regular_file import is_there, open_regular

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
Kinds = Callable[[Mapping[str, Any]], type[Any]]

FORMAT = "format"  # key of the version: in a file's metadata, and in a record within a picture
_ENDS = b"PAR1"
UNVERSIONED = 0  # of what was written before versions were
_MOST_BYTES, _MOST_ROWS = 4 * 10**9, 10**7  # a small file can claim to be gigabytes


def write_values(path: Path, cls: type[Any], values: Sequence[Any], metadata: Mapping[str, str]) -> None:
    """Write a row for each value as Parquet with this metadata, whole or not at all."""
    write_table(path, cls, table_of(cls, values), metadata)


def table_of(cls: type[Any], values: Sequence[Any]) -> pa.Table:
    """A row for each value in the columns of `cls`; null where a value of another class has no such column."""
    import pyarrow as pa

    rows = [row_of(value, cls if isinstance(value, cls) else None) for value in values]
    return pa.Table.from_pylist(rows, schema=schema_of(cls))


def write_table(path: Path, cls: type[Any], table: pa.Table, metadata: Mapping[str, str]) -> None:
    """`write_values`, of a table that has the columns of `cls` already."""
    import pyarrow.parquet as pq

    with atomic(path) as temporary:
        described = table.replace_schema_metadata({**metadata, FORMAT: str(version_of(cls))})
        pq.write_table(described, temporary, write_page_checksum=True)


def read_values(
    path: Path, cls: type[T], *, again: str, restore: str, kind: Kinds | None = None
) -> tuple[tuple[T, ...], dict[str, str]]:
    """The values and the metadata that `write_values` was given; errors as for `read_table`."""
    table = read_table(path, cls, again=again, restore=restore, kind=kind)
    return _values(path, cls, table, restore, kind), metadata_of(table)


def read_table(path: Path, cls: type[Any], *, again: str, restore: str, kind: Kinds | None = None) -> pa.Table:
    """The table in a file, with the columns of `cls` whichever version wrote it.

    StoreError when it is missing, unreadable or has other columns, VersionError when a newer version wrote it.
    `again`: what makes a missing file; `restore`: what to do about a damaged one; `kind`: the class of each row where
    not all are of `cls`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not is_there(path):
        raise StoreError(f"{path}: missing; {again}")
    try:
        with (
            open_regular(path, _MOST_BYTES, StoreError) as opened,
            # Opened by Arrow itself: threads of its own that read through Python's file abort a process that is ending.
            pa.OSFile(f"/proc/self/fd/{opened.fileno()}") as native,
            pq.ParquetFile(native, page_checksum_verification=True) as file,
        ):
            if (rows := file.metadata.num_rows) > _MOST_ROWS:
                raise StoreError(f"{path}: says that it has {rows} rows; at most {_MOST_ROWS} are read; {restore}")
            table = file.read()
            table.validate(full=True)
    except (pa.ArrowException, ValueError, OSError) as error:  # Arrow raises many kinds for bad files
        raise StoreError(f"{path}: not a whole Parquet file ({one_line(error)}); {restore}") from error
    try:
        said = _metadata(table).get(FORMAT, str(UNVERSIONED))
    except UnicodeDecodeError as error:
        raise StoreError(f"{path}: expected metadata in UTF-8, got other bytes ({error}); {restore}") from error
    if not re.fullmatch(r"[0-9]{1,9}", said):
        raise StoreError(f"{path}: expected a number for its format, got {said[:80]!r}; {restore}")
    check_version(path, version := int(said), version_of(cls), restore)
    wrong = fault(cls, table.column_names, version) or _wrong_types(table.schema, schema_of(cls))
    if wrong:
        raise StoreError(f"{path}: not the columns that Darkroom gives it ({wrong}); {restore}")
    return _with_all_columns(path, cls, table, restore, kind)


def is_cut(path: Path) -> bool:
    """Whether a Parquet file that is there lacks its beginning or its end, as a look shows it."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        beginning = file.read(len(_ENDS))
        file.seek(-min(len(_ENDS), path.stat().st_size), os.SEEK_END)
        return not beginning == file.read() == _ENDS


def check_version(path: Path, version: int, known: int, cure: str) -> None:
    """VersionError for a version above `known`."""
    if version > known:
        raise VersionError(
            f"{path}: of format {version}, so a newer Darkroom wrote it; this one reads {known} and older: "
            f"update it, or {cure}"
        )


def metadata_of(table: pa.Table) -> dict[str, str]:
    """The metadata that `write_table` was given."""
    return {key: value for key, value in _metadata(table).items() if key != FORMAT}


def _metadata(table: pa.Table) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}


def _with_all_columns(path: Path, cls: type[Any], table: pa.Table, restore: str, kind: Kinds | None) -> pa.Table:
    """In the order and with the types of this version, what is not there filled in."""
    schema = schema_of(cls)
    if set(schema.names) == set(table.column_names) and (ordered := table.select(schema.names)).schema.equals(schema):
        return ordered
    return table_of(cls, _values(path, cls, table, restore, kind)).replace_schema_metadata(table.schema.metadata)


def _values(path: Path, cls: type[T], table: pa.Table, restore: str, kind: Kinds | None) -> tuple[T, ...]:
    values = []
    for number, row in enumerate(table.to_pylist()):
        try:
            values.append(value_of(kind(row) if kind else cls, row))
        except ValueError as error:
            raise StoreError(f"{path}: row {number}: {error}; {restore}") from error
    return tuple(values)


def _wrong_types(found: pa.Schema, expected: pa.Schema) -> str | None:
    """One clause on columns of another type, whatever may be null in them."""
    names = [name for name in expected.names if name in found.names]
    wrong = [name for name in names if not _is_like(found.field(name).type, expected.field(name).type)]
    said = [f"expected {name}: {expected.field(name).type}, got {found.field(name).type}" for name in wrong]
    return ", ".join(said) or None


def _is_like(found: pa.DataType, expected: pa.DataType) -> bool:
    """Equal, but for what may be null and for parts of structs that are not there."""
    import pyarrow as pa

    if pa.types.is_list(found) and pa.types.is_list(expected):
        return _is_like(found.value_type, expected.value_type)
    if pa.types.is_struct(found) and pa.types.is_struct(expected):
        known = {field.name: field.type for field in expected}
        return all(field.name in known and _is_like(field.type, known[field.name]) for field in found)
    return bool(found.equals(expected))
