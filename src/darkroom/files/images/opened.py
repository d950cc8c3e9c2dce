"""Opens a picture that anybody may have made: whatever is wrong with it becomes an ImageError, in a sentence.

    with opened(path, FORMATS) as image:                       # its header; the rest is not looked at
    with opened_whole(read_bytes(path), path, FORMATS) as image:   # not damaged, as far as its format lets one know

Both give Pillow's image of one single picture of at most 64 megapixels. The block is for what Pillow does with it: what
Pillow raises there is told as damage too. Pillow is imported by the function that needs it: importing this file is
cheap.
"""

from __future__ import annotations

import io
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from darkroom.errors import DarkroomError, ImageError
from darkroom.files.container import AGAIN, check_whole
from darkroom.files.regular_file import open_regular, read_regular

if TYPE_CHECKING:
    from PIL import Image

COMMON = ("PNG", "JPEG", "WEBP")  # what trainers and Darkroom write
ALL = (*COMMON, "TIFF", "BMP", "GIF", "AVIF")  # of reference images; no EPS: Pillow would run Ghostscript on it

_MOST_PIXELS = 64_000_000  # a small file can claim to be gigabytes
_MOST_BYTES = 9 * _MOST_PIXELS  # the widest pixels have 8 (four channels of 16 bits); the rest is metadata
_NOWHERE = logging.NullHandler()
_WARNINGS = threading.Lock()  # the filters of warnings are the whole process's


def read_bytes(path: Path) -> bytes:
    """The file of a picture, whole; ImageError where there is none, or a FIFO, a device or a folder."""
    return read_regular(path, _MOST_BYTES, ImageError)


@contextmanager
def opened(path: Path, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    """A picture by its header: size, mode, metadata. Reading its pixels may still fail."""
    with open_regular(path, _MOST_BYTES, ImageError) as file, _opened(file, str(path), formats) as image:
        yield image


@contextmanager
def opened_whole(content: bytes, place: Path | str, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    """A picture from all of its bytes, which were found at `place`; none that is damaged, cut off or zeroed."""
    try:
        check_whole(content)
    except ImageError as error:
        raise ImageError(f"{place}: {error}") from error
    with _opened(io.BytesIO(content), str(place), formats) as image:
        yield image


def format_of(image: Image.Image) -> str:
    """PNG, JPEG, …; a JPEG with a camera's second, smaller picture in it (MPO) is one."""
    return "JPEG" if image.format == "MPO" else str(image.format)


@contextmanager
def _opened(file: BinaryIO, place: str, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    from PIL import Image, UnidentifiedImageError

    logging.getLogger("PIL").addHandler(_NOWHERE)  # else what its readers say of a file goes to the terminal
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    try:
        with _WARNINGS, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes that are refused below, and of EXIF that is not used
            image = Image.open(file, formats=formats)
            _check(image, place)
        with image:
            yield image
    except (DarkroomError, MemoryError):  # said already; not the file's fault
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{place}: expected {_listed(formats)}, got {_beginning(file)}") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{place}: too large: {error}; at most 64 megapixels are read") from error
    except Exception as error:  # Pillow's readers raise a dozen types for bad files, ZeroDivisionError among them
        raise ImageError(f"{place}: damaged: {str(error) or type(error).__name__}; {AGAIN}") from error


def _check(image: Image.Image, place: str) -> None:
    width, height = image.size
    if width * height > _MOST_PIXELS:
        raise ImageError(f"{place}: {width}x{height} is {width * height / 1e6:.0f} megapixels; at most 64 are read")
    if image.format != "MPO" and (frames := getattr(image, "n_frames", 1)) > 1:
        raise ImageError(f"{place}: has {frames} frames or pages; save the one you mean as a picture of its own")


def _listed(formats: tuple[str, ...]) -> str:
    *others, last = formats
    return f"a {', '.join(others)} or {last} picture"


def _beginning(file: BinaryIO) -> str:
    file.seek(0)
    content = file.read(12)
    return f"a file that begins with {content!r}; save it as one of them" if content else f"an empty file; {AGAIN}"
