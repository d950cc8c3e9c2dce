"""One reference image (ctrl_img) as a file: what its header shows, whether it can be read, its pixels.

Which sizes a model takes is its family's to say (plan/conf/families.py). Pillow is imported by the functions that need
it: importing this file is cheap.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.errors import ImageError
from darkroom.files.content import check_planned
from darkroom.files.images.opened import ALL, format_of, opened, opened_whole, read_bytes

if TYPE_CHECKING:
    from PIL import Image

_ORIENTATION = 0x0112  # EXIF


@dataclass(frozen=True)
class SizeLimits:
    """The sizes that a model takes."""

    shortest_side: int  # pixels
    largest_aspect: int | None  # of one side to the other


@dataclass(frozen=True)
class ImageHeader:
    """What the header of an image file shows."""

    path: str
    mode: str  # Pillow's: RGB, RGBA, P, …
    has_transparency: bool
    orientation: int  # EXIF's; 1: as it is stored

    @property
    def warning(self) -> str | None:
        """What belongs into the record of a picture that was made with this image."""
        if self.orientation == 1:
            return None
        said = f"its EXIF orientation ({self.orientation}) is not applied, as in the trainer: the model sees it turned"
        return f"{self.path}: {said}"


def read_image_header(path: str | Path, limits: SizeLimits | None = None) -> ImageHeader:
    """Look at a file without reading its pixels; ImageError if it cannot be used, or is not within `limits`."""
    with opened(Path(path), ALL) as image:
        width, height = image.size
        # In a PNG it may stand after the pixels, which would all have to be read; cameras write none.
        orientation = 1 if format_of(image) == "PNG" else image.getexif().get(_ORIENTATION, 1)
        header = ImageHeader(str(path), image.mode, image.has_transparency_data, orientation)
    if limits and min(width, height) < limits.shortest_side:
        raise ImageError(f"{path}: {width}x{height}: each side needs {limits.shortest_side} pixels at least")
    if limits and limits.largest_aspect and max(width, height) > limits.largest_aspect * min(width, height):
        said = f"one side may be at most {limits.largest_aspect} times the other"
        raise ImageError(f"{path}: {width}x{height}: {said}")
    return header


def read_reference(path: str | Path, sha256: str | None = None) -> Image.Image:
    """The picture in RGB, or RGBA where it has transparency; ImageError if it cannot be used, whatever its size.

    StoreError where it is not what was planned (`sha256`).
    """
    content = read_bytes(Path(path))
    check_planned(content, path, sha256)
    with opened_whole(content, path, ALL) as image:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
