"""One picture of anybody's as a sheet shows it, or why it cannot."""

from pathlib import Path

from PIL import Image

from darkroom.errors import ImageError
from darkroom.files.images.opened import COMMON, opened_whole, read_bytes


def picture_shown(path: Path) -> Image.Image | ImageError:
    """Its pixels; an error where the file is gone, damaged, or no picture."""
    try:
        with opened_whole(read_bytes(path), path, COMMON) as image:
            return image.convert("RGB")
    except ImageError as error:
        return error
