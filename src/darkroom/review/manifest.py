"""results/<experiment>/manifest.parquet: the records of all combinations in one table."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from darkroom import __version__
from darkroom.errors import DarkroomError, StoreError, raise_together
from darkroom.files.table_file import table_of, write_table
from darkroom.record.rows import Record, Row, read_record_table

SORTED_BY = ("model", "lora", "prompts", "index", "image_name")


def write_manifest(record_files: Sequence[Path], output: Path, rows: Sequence[Row] = ()) -> int:
    """Join files of records, and further `rows`, into one manifest, sorted by SORTED_BY; returns the number of rows.

    StoreError naming every file that is missing, damaged, of another version, or of another experiment.
    """
    import pyarrow as pa

    with ThreadPoolExecutor() as threads:
        read = list(threads.map(_read, record_files))
    raise_together(found for found in read if isinstance(found, DarkroomError))
    tables = [found for found in read if not isinstance(found, DarkroomError)]
    tables += [table_of(Record, rows)] if rows else []
    if not tables:
        raise StoreError(f"{output}: no files of records were given; the experiment has no combinations")
    table = pa.concat_tables(tables).sort_by([(name, "ascending") for name in SORTED_BY])
    write_table(output, Record, table, {"darkroom_version": __version__, "experiment": _experiment(table, output)})
    return int(table.num_rows)


def _read(path: Path) -> Any:
    """A table, or the error instead of it, so that all errors can be told together."""
    try:
        return read_record_table(path)
    except DarkroomError as error:
        return error


def _experiment(table: Any, output: Path) -> str:
    names: list[str] = table.column("experiment").unique().to_pylist()
    if len(names) != 1:
        raise StoreError(f"{output}: expected records of one experiment, got {len(names)}: {', '.join(sorted(names))}")
    return names[0]
