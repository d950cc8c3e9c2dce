"""A render that is to be explained: its record, and the stored previews of the same picture.

Planning its trials and telling of them both begin here. Anybody may have written the record.
"""

from pathlib import Path

from darkroom.errors import ImageError, StoreError
from darkroom.names import name_fault
from darkroom.previews import Preview, read_previews, stored_previews
from darkroom.record import EmbeddedRecord, read_embedded_record


def read_render(image: Path) -> EmbeddedRecord:
    """The record in a picture, whose names may become parts of paths; ImageError where they, or it, are not ours."""
    record = read_embedded_record(image)
    for name in ("experiment", "model", "lora", "prompts"):
        if fault := name_fault(said := getattr(record.request.title, name)):
            raise ImageError(f"{image}: its record says {name} {said!r}: {fault}")
    return record


def previews_of(record: EmbeddedRecord, wanted: Path | None = None) -> list[Preview]:
    """The stored previews of a render, or the `wanted` one of them; StoreError where that is none of them."""
    file = stored_previews(record.request.title.experiment)
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
