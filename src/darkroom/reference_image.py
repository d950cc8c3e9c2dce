"""One reference image (ctrl_img) as a file: whether a model can take it, and its pixels. Knows no model.

Limits of the trainer (ai-toolkit's flux2/src/sampling.py): sides of 64 pixels at least, one side at most 8 times the
other. Pillow is imported by the functions that need it: importing this file is cheap.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

_SHORTEST_SIDE = 64  # pixels
_LARGEST_ASPECT = 8
_MOST_PIXELS = 64_000_000  # a picture is seen at a megapixel; a small file can claim to be gigabytes
_ORIENTATION = 0x0112  # EXIF


def check_reference(path: str | Path) -> str | None:
    """Look at a file's header: a warning that belongs into the record, or None; ImageError if it cannot be used."""
    with _opened(Path(path)) as image:
        if (frames := getattr(image, "n_frames", 1)) > 1:
            raise ImageError(f"{path}: an animation of {frames} frames; save the one you mean")
        width, height = image.size
        if width * height > _MOST_PIXELS:
            raise ImageError(f"{path}: {width}x{height} is {width * height / 1e6:.0f} megapixels; at most 64 are read")
        if min(image.size) < _SHORTEST_SIDE:
            raise ImageError(f"{path}: {width}x{height}: each side needs {_SHORTEST_SIDE} pixels at least")
        if max(image.size) > _LARGEST_ASPECT * min(image.size):
            raise ImageError(f"{path}: {width}x{height}: one side may be at most {_LARGEST_ASPECT} times the other")
        # In a PNG it may stand after the pixels, which would all have to be read; cameras write none.
        orientation = 1 if image.format == "PNG" else image.getexif().get(_ORIENTATION, 1)
    if orientation == 1:
        return None
    return f"{path}: its EXIF orientation ({orientation}) is not applied, as in the trainer: the model sees it turned"


def read_reference(path: str | Path) -> Image.Image:
    """The picture in RGB, or RGBA where it has transparency; ImageError if it cannot be used."""
    check_reference(path)
    with _opened(Path(path)) as image:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The file as Pillow sees it; whatever Pillow has to say against it, here or in the block, as an ImageError."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Pillow has limits of its own, and between two of them it only warns.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                yield image
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file (paths start at the working directory)") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{path}: too large: {error}; at most 64 megapixels are read") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: not an image that can be read") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:  # what Pillow's readers raise for damaged files
        raise ImageError(f"{path}: damaged or unreadable: {error}; copy it again") from error
