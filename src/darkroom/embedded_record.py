"""The render that is to be explained, and its stored previews: what planning trials and telling of them both look up.

Renders and compares nothing. The picture may come from anywhere, so that its record is a stranger's.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darkroom.errors import ImageError, StoreError
from darkroom.files.image_file import read_record
from darkroom.names import name_fault
from darkroom.previews import Preview, key_of, previews_file, read_previews
from darkroom.record import is_embedded_record


def read_render(image: Path) -> dict[str, Any]:
    """The record in a picture, whose names may become parts of paths; ImageError where they, or it, are not ours."""
    record = read_record(image)
    if not is_embedded_record(record):
        raise ImageError(f"{image}: its record is not one of this version of Darkroom; render it again")
    for name in ("experiment", "model", "lora", "prompts"):
        if fault := name_fault(record[name]):
            raise ImageError(f"{image}: its record says {name} {record[name]!r}: {fault}")
    return record


def previews_of(record: Mapping[str, Any], wanted: Path | None = None) -> list[Preview]:
    """The stored previews of a render, or the `wanted` one of them; StoreError where that is none of them."""
    file = previews_file(record["experiment"])
    previews = [preview for preview in read_previews(file) if preview.key == key_of(record)]
    if wanted is None:
        return previews
    found = [preview for preview in previews if preview.path and Path(preview.path).resolve() == wanted.resolve()]
    if not found:
        raise StoreError(
            f"--preview {wanted}: not a stored preview of {record['image_name']}; {file} has {listed(previews)}"
        )
    return found


def listed(previews: list[Preview]) -> str:
    """Where they lie, or why not, for an error."""
    return ", ".join(preview.path or f"none ({preview.reason})" for preview in previews) or "none"
