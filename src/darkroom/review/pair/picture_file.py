"""Reads a picture that is compared: its pixels in RGB, its size, its encoding, its digest."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from darkroom.errors import ImageError
from darkroom.files.container import is_lossy
from darkroom.files.images.opened import COMMON, format_of, opened_whole, read_bytes


@dataclass(frozen=True, eq=False)
class PictureFile:
    """A picture as its file has it, in the orientation in which it is stored."""

    pixels: npt.NDArray[np.uint8]  # (height, width, 3)
    format: str  # PNG | JPEG | WEBP
    lossy: bool
    sha256: str  # of the file

    @property
    def size(self) -> str:
        """Such as 1024x768: width and height in pixels."""
        height, width, _ = self.pixels.shape
        return f"{width}x{height}"


def read_picture(path: Path) -> PictureFile:
    """Read a PNG, JPEG or WebP file whole; ImageError when it is not there, damaged, too large or neither RGB nor grey.

    A grey picture is read as RGB; one with transparency is no picture of a trainer or of Darkroom.
    """
    content = read_bytes(path)
    with opened_whole(content, path, COMMON) as image:
        if image.mode not in ("RGB", "L"):
            raise ImageError(f"{path}: expected a picture in RGB, got {image.mode}; save it without transparency")
        image_format, pixels = format_of(image), np.asarray(image.convert("RGB"))
    return PictureFile(pixels, image_format, is_lossy(content), hashlib.sha256(content).hexdigest())


# What a preview of a format went through: `encoding` of compare.parquet.
ENCODINGS = {"JPEG": "JPEG quality 75, 4:2:0", "WEBP": "WebP quality 80"}


_SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    ENCODINGS["JPEG"]: ("JPEG", {"quality": 75, "subsampling": "4:2:0"}),
    ENCODINGS["WEBP"]: ("WEBP", {"quality": 80, "method": 4}),
}


def as_encoded(pixels: npt.NDArray[np.uint8], encoding: str) -> npt.NDArray[np.uint8]:
    """(H, W, 3) pixels after encoding and decoding; `encoding` is a value of ENCODINGS."""
    image_format, settings = _SETTINGS[encoding]
    buffer = io.BytesIO()
    Image.fromarray(pixels, "RGB").save(buffer, image_format, **settings)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"))
