"""Parquet files of ours: written whole or not at all, read with errors that say what to do. Knows no column.

pyarrow is imported by the functions: importing this file is cheap.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.errors import StoreError
from darkroom.files.atomic import atomic

if TYPE_CHECKING:
    import pyarrow as pa


def write_table(path: Path, table: pa.Table, metadata: Mapping[str, str]) -> None:
    """Write a table as Parquet with this metadata, whole or not at all."""
    import pyarrow.parquet as pq

    with atomic(path) as temporary:
        pq.write_table(table.replace_schema_metadata(dict(metadata)), temporary)


def read_table(path: Path, schema: pa.Schema, *, again: str, restore: str) -> pa.Table:
    """The table in a file; StoreError when it is missing, unreadable or has other columns than `schema`.

    `again`: what makes a missing file; `restore`: what to do about a damaged one.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
    except FileNotFoundError as error:
        raise StoreError(f"{path}: missing; {again}") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise StoreError(f"{path}: not a whole Parquet file ({error}); {restore}") from error
    if not table.schema.equals(schema):
        raise StoreError(f"{path}: {_difference(table.schema, schema)}; {restore}")
    return table


def metadata_of(table: pa.Table) -> dict[str, str]:
    """The metadata that `write_table` was given."""
    return {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}


def _difference(found: pa.Schema, expected: pa.Schema) -> str:
    """One clause on how a file's columns differ from those that are expected."""
    missing = [name for name in expected.names if name not in found.names]
    unknown = [name for name in found.names if name not in expected.names]
    if missing or unknown:
        return f"not the columns of this version of Darkroom (missing: {missing}, unknown: {unknown})"
    wrong = [f"{f.name}: {f.type}" for f in expected if not found.field(f.name).equals(f)]
    return f"not the column types of this version of Darkroom (expected {', '.join(wrong) or 'another order'})"
