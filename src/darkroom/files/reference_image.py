"""One reference image (ctrl_img) as a file: what its header shows, whether it can be read, its pixels. Knows no model.

Which sizes a model takes is its family's to say (plan/families.py). Pillow is imported by the functions that need it:
importing this file is cheap.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

_MOST_PIXELS = 64_000_000  # models see a megapixel or so; a small file can claim to be gigabytes
_ORIENTATION = 0x0112  # EXIF
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")  # no EPS: Pillow would run Ghostscript on it


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
    with _opened(Path(path)) as image:
        # A camera's second picture in a JPEG (MPO) is a smaller one of the same; the first is what everybody opens.
        if image.format != "MPO" and (frames := getattr(image, "n_frames", 1)) > 1:
            raise ImageError(f"{path}: has {frames} frames or pages; save the one you mean as a picture of its own")
        width, height = image.size
        if width * height > _MOST_PIXELS:
            raise ImageError(f"{path}: {width}x{height} is {width * height / 1e6:.0f} megapixels; at most 64 are read")
        if limits and min(image.size) < limits.shortest_side:
            raise ImageError(f"{path}: {width}x{height}: each side needs {limits.shortest_side} pixels at least")
        if limits and limits.largest_aspect and max(image.size) > limits.largest_aspect * min(image.size):
            said = f"one side may be at most {limits.largest_aspect} times the other"
            raise ImageError(f"{path}: {width}x{height}: {said}")
        # In a PNG it may stand after the pixels, which would all have to be read; cameras write none.
        orientation = 1 if image.format == "PNG" else image.getexif().get(_ORIENTATION, 1)
        return ImageHeader(str(path), image.mode, image.has_transparency_data, orientation)


def read_reference(path: str | Path) -> Image.Image:
    """The picture in RGB, or RGBA where it has transparency; ImageError if it cannot be used, whatever its size."""
    read_image_header(path)
    with _opened(Path(path)) as image:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The file as Pillow sees it; whatever Pillow has to say against it, here or in the block, as an ImageError."""
    from PIL import Image, UnidentifiedImageError

    if not path.is_file():  # a FIFO would be waited for
        what = "not a file" if path.exists() else "no such file (paths start at the working directory)"
        raise ImageError(f"{path}: {what}")
    try:
        with warnings.catch_warnings():
            # Pillow has limits of its own, and between two of them it only warns.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{path}: too large: {error}; at most 64 megapixels are read") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: not an image that can be read; save it as {', '.join(_FORMATS[:3])}") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:  # what Pillow's readers raise for damaged files
        raise ImageError(f"{path}: damaged or unreadable: {error}; copy it again") from error
