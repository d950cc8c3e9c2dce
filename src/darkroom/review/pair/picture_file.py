"""The pixels of a picture file that may be a stranger's, and what its encoding is. Does not know what they show.

Pillow is imported by the functions that need it: importing this file is cheap.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from darkroom.errors import ImageError
from darkroom.files.container import split

if TYPE_CHECKING:
    from PIL import Image

_FORMATS = ("PNG", "JPEG", "WEBP")  # what trainers and Darkroom write
_MOST_PIXELS = 64_000_000  # a small file can claim to be gigabytes
_MOST_BYTES = 256_000_000  # more than that many pixels make as PNG


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
    """Read a PNG, JPEG or WebP file whole; ImageError when it is not there, damaged, too large or not in colour."""
    from PIL import Image, UnidentifiedImageError

    data = _read(path)
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _check(path, image)
            if image.format == "PNG":
                image.verify()  # every checksum to the end of the file; must be opened again after it
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            pixels = np.asarray(image.convert("RGB"))
            kind = str(image.format)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{path}: too large: {error}; at most 64 megapixels are read") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: not a PNG, JPEG or WebP picture, or one that is cut off at its beginning") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:  # what Pillow's readers raise for damaged files
        raise ImageError(f"{path}: cannot be read whole: {error}; copy it again") from error
    return PictureFile(pixels, kind, _is_lossy(path, kind, data), hashlib.sha256(data).hexdigest())


def _is_lossy(path: Path, kind: str, data: bytes) -> bool:
    if kind != "WEBP":
        return kind == "JPEG"
    try:
        _, chunks = split(data)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    return not any(chunk.startswith(b"VP8L") for chunk in chunks)


def _read(path: Path) -> bytes:
    if not path.is_file():  # a FIFO would be waited for
        raise ImageError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    try:
        if (size := path.stat().st_size) > _MOST_BYTES:
            raise ImageError(f"{path}: {size} bytes; at most {_MOST_BYTES} are read")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror}") from error


def _check(path: Path, image: Image.Image) -> None:
    """Before the pixels are decoded. A grey picture is one in colour; what is half transparent is none."""
    width, height = image.size
    if width * height > _MOST_PIXELS:
        raise ImageError(f"{path}: {width}x{height} is {width * height / 1e6:.0f} megapixels; at most 64 are read")
    if image.mode not in ("RGB", "L"):
        raise ImageError(f"{path}: expected a picture in RGB, got {image.mode}")
    if (frames := getattr(image, "n_frames", 1)) > 1:
        raise ImageError(f"{path}: expected one picture, got {frames} frames")


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
