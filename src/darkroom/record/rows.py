"""What was done for each image of a run: the rows of the manifest, and the Parquet files that they travel in.

The fields of Record are the columns; a picture that is not there has a row too (`Failure`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from darkroom.files.columns import GROUP, MAY_BE_NULL, SINCE, columns_of, row_of
from darkroom.files.table_file import read_table, read_values, write_values
from darkroom.files.weight_file import sha256_of
from darkroom.record.circumstances import Cost, LoraUse
from darkroom.record.embedded import EmbeddedRecord
from darkroom.request.picture_key import PictureKey
from darkroom.request.request import Request

if TYPE_CHECKING:
    import pyarrow as pa

_FILE = {GROUP: "file", MAY_BE_NULL: True}
DONE, FAILED, NOT_RENDERED = "done", "failed", "not rendered"  # values of `status`; the last: the run ended before


@dataclass(frozen=True)
class Record(EmbeddedRecord):
    """Request, picture, circumstances and cost of one image; `cost` is None when the image came from the store."""

    image_path: str = field(metadata=_FILE)
    image_sha256: str = field(metadata=_FILE)
    image_format: str = field(metadata=_FILE)
    reused: bool = field(metadata=_FILE)
    cost: Cost | None
    latents_path: str | None = field(default=None, metadata=_FILE)
    status: str = field(default=DONE, metadata={GROUP: "file"})
    error: str | None = field(default=None, metadata={GROUP: "file", SINCE: 2})  # why there is no picture

    @classmethod
    def found(cls, embedded: EmbeddedRecord, image: Path, image_format: str, latents: Path | None = None) -> Self:
        """Of a picture that is there, with the record that it carries."""
        return cls(
            **vars(embedded),
            image_path=str(image),
            image_sha256=sha256_of(image),
            image_format=image_format,
            latents_path=str(latents) if latents else None,
            reused=True,
            cost=None,
        )

    @property
    def embedded(self) -> EmbeddedRecord:
        """What the picture carries, or would."""
        return EmbeddedRecord(**{each.name: getattr(self, each.name) for each in fields(EmbeddedRecord)})

    def row(self) -> dict[str, Any]:
        """One row of the manifest: plain values by column."""
        return row_of(self, Record)


@dataclass(frozen=True)
class Failure:
    """A picture that is not there, and why: a row of the manifest whose other columns are null."""

    request: Request  # its files without digests where it was not planned
    request_id: str
    loras: tuple[LoraUse, ...]  # as far as they are known
    error: str
    status: str = FAILED

    @classmethod
    def of(cls, request: Request, error: str, status: str = FAILED) -> Self:
        return cls(request, request.request_id, tuple(map(LoraUse.of_none, request.adapters.loras)), error, status)

    @property
    def key(self) -> PictureKey:
        """Which picture of the experiment it is."""
        return PictureKey.of(self.request)

    def row(self) -> dict[str, Any]:
        """One row of the manifest: plain values by column."""
        return {**dict.fromkeys(columns_of(Record)), **row_of(self)}


Row = Record | Failure


def write_records(path: Path, records: Sequence[Row], metadata: Mapping[str, str]) -> None:
    """Write them as Parquet, whole or not at all."""
    write_values(path, Record, records, metadata)


def read_rows(path: Path) -> tuple[tuple[Row, ...], dict[str, str]]:
    """What `write_records` was given, and the metadata; errors as for `read_table`."""
    rows: tuple[tuple[Any, ...], dict[str, str]] = read_values(
        path, Record, again=_AGAIN, restore=_RESTORE, kind=_kind_of
    )
    return rows


def read_records(path: Path) -> tuple[tuple[Record, ...], dict[str, str]]:
    """`read_rows`, of the pictures that there are."""
    rows, metadata = read_rows(path)
    return tuple(row for row in rows if isinstance(row, Record)), metadata


def read_record_table(path: Path) -> pa.Table:
    """A file of records as an Arrow table; errors as for `read_table`."""
    return read_table(path, Record, again=_AGAIN, restore=_RESTORE, kind=_kind_of)


def _kind_of(row: Mapping[str, Any]) -> type[Row]:
    return Record if row.get("status", DONE) == DONE else Failure


_AGAIN, _RESTORE = "run Snakemake again", "delete it and run Snakemake again"
