"""The stored pictures that an experiment's renders should reproduce, as a Parquet file. Compares and renders nothing.

previews/<experiment>/previews.parquet     one row a picture; written by `darkroom import` and `darkroom accept`
previews/<experiment>/images/…             pictures that were accepted; those of a trainer stay where it left them

`previews/` is no part of results/: it cannot be made again, and belongs under version control.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from darkroom.errors import StoreError
from darkroom.files.table_file import metadata_of, read_table, write_table

if TYPE_CHECKING:
    import pyarrow as pa

PREVIEWS = Path("previews")  # relative to the working directory, beside conf/ and results/
TRAINER, DARKROOM = "ai-toolkit", "darkroom"  # values of `origin`
_FORMAT = "1"  # of the file: raised when its columns change


@dataclass(frozen=True)
class Replaced:
    """A picture that was the preview before, and who had accepted it (None: a trainer made it)."""

    path: str
    sha256: str
    accepted_by: str | None = None
    accepted_at: str | None = None


@dataclass(frozen=True, kw_only=True)
class Preview:
    """One stored picture, or one that is known to be lacking. Two may be previews of the same picture (after a resume).

    `then` is what is known of how it was made: of a trainer's what its configuration says, of an accepted one its whole
    embedded record. Keys are columns of the manifest.
    """

    # which picture of the experiment it is
    model: str
    lora: str
    prompts: str
    index: int
    axes: str = "{}"  # `axes_text`
    # where it lies
    path: str | None  # relative to the working directory where it is below it; None: there never was one
    sha256: str | None = None  # of the file when it was taken in
    width: int | None = None
    height: int | None = None
    # how it was made
    origin: str  # TRAINER: in Pillow's default encoding | DARKROOM: as a render is written
    step: int | None = None
    made_at: str | None = None  # ISO 8601, UTC
    then: Mapping[str, Any]
    # why it is no measure
    reason: str | None = None  # why it cannot be reproduced; None if it can
    note: str | None = None  # what to know when it differs
    # who said that it is right
    accepted_by: str | None = None
    accepted_at: str | None = None  # ISO 8601, UTC
    accepted_because: str | None = None  # the verdict that it had
    replaced: tuple[Replaced, ...] = ()  # the latest first

    @property
    def key(self) -> tuple[str, str, str, int, str]:
        """Which picture of the experiment it should be, as `key_of` a row of the manifest."""
        return self.model, self.lora, self.prompts, self.index, self.axes

    def row(self) -> dict[str, Any]:
        """Plain values for Parquet."""
        return {**asdict(self), "then": json.dumps(self.then, ensure_ascii=False, sort_keys=True)}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """The inverse of `row`."""
        replaced = tuple(Replaced(**each) for each in row["replaced"])
        return cls(**{**row, "then": json.loads(row["then"]), "replaced": replaced})


def previews_file(experiment: str) -> Path:
    """Where an experiment's previews are listed."""
    return PREVIEWS / experiment / "previews.parquet"


def no_previews(path: Path) -> StoreError:
    """What to say where an experiment has none."""
    return StoreError(
        f"{path}: there are no stored previews: `darkroom import aitk JOB` takes them from a training run, "
        "`darkroom accept EXPERIMENT` from what was rendered"
    )


def axes_text(axes: Iterable[tuple[str, Any]]) -> str:
    """Further axes of the matrix, as canonical JSON: {"seed":1}."""
    return json.dumps(dict(axes), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def key_of(row: Mapping[str, Any]) -> tuple[str, str, str, int, str]:
    """Which picture of the experiment a row of the manifest is, or an embedded record."""
    axes = axes_text((axis["name"], json.loads(axis["value"])) for axis in row["axes"])
    return row["model"], row["lora"], row["prompts"], row["index"], axes


@functools.cache
def schema() -> pa.Schema:
    """The columns of previews.parquet: the fields of Preview."""
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    kinds = {"int": number, "int | None": number, "Mapping[str, Any]": text, "str": text, "str | None": text}
    replaced = pa.list_(pa.struct([pa.field(f.name, text) for f in fields(Replaced)]))
    return pa.schema([pa.field(f.name, kinds.get(str(f.type), replaced)) for f in fields(Preview)])


def write_previews(path: Path, experiment: str, previews: Sequence[Preview]) -> None:
    """Write the list, whole or not at all."""
    import pyarrow as pa

    table = pa.Table.from_pylist([preview.row() for preview in previews], schema=schema())
    write_table(path, table, {"experiment": experiment, "format": _FORMAT})


def read_previews(path: Path) -> tuple[Preview, ...]:
    """What `write_previews` was given; StoreError when the file is missing, damaged or of another version."""
    if not path.is_file():
        raise no_previews(path)
    table = read_table(path, schema(), again="import it again", restore="restore it, or import it again")
    _check_metadata(path, metadata_of(table))
    previews = tuple(_preview(path, number, row) for number, row in enumerate(table.to_pylist()))
    seen: set[tuple[Any, ...]] = set()
    for preview in previews:
        if (place := (preview.key, preview.path)) in seen:
            raise StoreError(f"{path}: lists {preview.path or 'the lack of a picture'} twice for {preview.key}")
        seen.add(place)
    return previews


def refuse_fast(numerics: Mapping[str, str]) -> None:
    """StoreError where a picture that others are to be compared with was rendered fast. `numerics`: by picture."""
    fast = [picture for picture, computed in numerics.items() if computed != "exact"]
    if fast:
        raise StoreError(f"numerics fast is never a baseline; render with numerics exact: {', '.join(fast)}")


def _check_metadata(path: Path, metadata: Mapping[str, str]) -> None:
    written = metadata.get("format")
    if written != _FORMAT:
        raise StoreError(
            f"{path}: expected format {_FORMAT} in its metadata, got {written}: of another version of Darkroom"
        )


def _preview(path: Path, number: int, row: Mapping[str, Any]) -> Preview:
    try:
        preview = Preview.from_row(row)
    except ValueError as error:
        raise StoreError(f"{path}: row {number}: then: expected JSON: {error}") from error
    if not isinstance(preview.then, dict):
        raise StoreError(f"{path}: row {number}: then: expected keys and values, got {row['then'][:80]}")
    return preview
