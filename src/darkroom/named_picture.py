"""A picture that people name: its record, wherever that is, and the stored previews of the same picture.

A picture that was to carry no record (output.metadata: none) has it in the manifest of its experiment.
Planning trials and telling of them both begin here. Anybody may have written the record.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from darkroom.errors import ImageError, NoRecordError, StoreError
from darkroom.files.weight_file import sha256_of
from darkroom.names import name_fault
from darkroom.planned import Contents
from darkroom.previews import Preview, read_previews, stored_previews
from darkroom.record.embedded import EmbeddedRecord, read_embedded_record
from darkroom.record.rows import Record, read_records
from darkroom.store import IMAGES, ExperimentFolder


def read_record_of(image: Path) -> EmbeddedRecord:
    """The record in a picture, or that of the manifest above it that lists this very file.

    Errors as for `read_embedded_record` and, of the manifest, for `read_rows`.
    """
    try:
        return read_embedded_record(image)
    except NoRecordError as error:
        row = _row_of(image)
        if row is None:
            raise NoRecordError(
                f"{image}: a picture without a Darkroom record: it is neither in its metadata, which some programs "
                "remove on saving, nor in a manifest.parquet above it, where output.metadata: none has it of pictures "
                "that nobody changed: show the file in results/ instead"
            ) from error
        return row.embedded


def _row_of(image: Path) -> Record | None:
    """Of two pictures that are one to the byte, that of the same name."""
    manifests = [ExperimentFolder(each.parent).manifest for each in image.absolute().parents if each.name == IMAGES]
    manifest = next((file for file in manifests if file.is_file()), None)
    if manifest is None:
        return None
    rows = _rows(manifest, manifest.stat().st_mtime_ns).get(sha256_of(image), ())
    return max(rows, key=lambda row: _common_end(image, Path(row.image_path)), default=None)


@lru_cache(maxsize=1)
def _rows(manifest: Path, written: int) -> Mapping[str, Sequence[Record]]:
    """By the digest of the picture. `written`: when, so that a manifest is read again that has been since."""
    found: dict[str, list[Record]] = {}
    for row in read_records(manifest)[0]:
        found.setdefault(row.image_sha256, []).append(row)
    return found


def _common_end(image: Path, listed: Path) -> int:
    """Parts of the two paths, from the last one on, that are the same."""
    same = [one == other for one, other in zip(reversed(image.parts), reversed(listed.parts), strict=False)]
    return [*same, False].index(False)


def read_render(image: Path) -> EmbeddedRecord:
    """The record of a picture, whose names may become parts of paths; ImageError where they, or it, are not ours."""
    record = read_record_of(image)
    for name in ("experiment", "model", "lora", "prompts"):
        if fault := name_fault(said := getattr(record.request.title, name)):
            raise ImageError(f"{image}: its record says {name} {said!r}: {fault}")
    return record


def list_of_previews(record: EmbeddedRecord, results: Path) -> Path:
    """The list that a run of the picture's experiment is compared with: a variant's own, else that of the first."""
    name = record.request.title.experiment
    contents = ExperimentFolder(results / name).contents
    source = Contents.read(contents).source if contents.is_file() else name
    return stored_previews(name, source)


def previews_of(record: EmbeddedRecord, results: Path, wanted: Path | None = None) -> list[Preview]:
    """The stored previews of a render, or the `wanted` one of them; StoreError where that is none of them."""
    file = list_of_previews(record, results)
    previews = [preview for preview in read_previews(file) if preview.key == record.key]
    if wanted is None:
        return previews
    found = [preview for preview in previews if preview.path and Path(preview.path).resolve() == wanted.resolve()]
    if not found:
        name = record.request.title.image_name
        raise StoreError(f"--preview {wanted}: not a stored preview of {name}; {file} has {listed(previews)}")
    return found


def listed(previews: list[Preview]) -> str:
    """Where they lie, or why not, for an error."""
    return ", ".join(preview.path or f"none ({preview.reason})" for preview in previews) or "none"
