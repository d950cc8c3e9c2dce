"""Pictures as data URIs for a page: those of one group, as good as they can be in a number of characters.

The first of these that fits: as they are, lossless; as they are, lossy; reduced, all by the same factor.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from darkroom.files.images.opened import COMMON, format_of, opened_whole, read_bytes

Pixels = npt.NDArray[np.uint8]  # (height, width, 3) sRGB, or (height, width) grey

_SIDES = (1024, 768, 512, 384, 256, 192, 128, 96)  # of the longest picture, in pixels
_QUALITY, _THUMBNAIL_QUALITY = 85, 80  # of lossy WebP
_LARGEST = 16_383  # pixels a side that WebP takes
# Characters a pixel that photographs do not go below: what cannot fit anyway need not be encoded.
_LEAST_LOSSLESS, _LEAST_LOSSY = 0.6, 0.02


@dataclass(frozen=True)
class Carried:
    """One address for each picture. `scale`: pixels of these to those of the files; 1.0 and lossless: the very same."""

    uris: tuple[str, ...]
    scale: float
    lossless: bool


def carry(pictures: Sequence[Pixels], limit: int) -> Carried:
    """The best that is at most `limit` characters long, or the smallest there is. At least one picture."""
    longest = max(max(picture.shape[:2]) for picture in pictures)
    count = sum(picture.shape[0] * picture.shape[1] for picture in pictures)
    if longest <= _LARGEST and count * _LEAST_LOSSLESS <= limit:
        uris = _encoded(pictures, 1.0, lossless=True)
        if sum(map(len, uris)) <= limit:
            return Carried(uris, 1.0, True)
    *sides, smallest = [min(longest, _LARGEST), *(side for side in _SIDES if side < longest)]
    for side in sides:
        scale = side / longest
        if count * scale**2 * _LEAST_LOSSY <= limit:
            uris = _encoded(pictures, scale, lossless=False)
            if sum(map(len, uris)) <= limit:
                return Carried(uris, scale, False)
    return Carried(_encoded(pictures, smallest / longest, lossless=False), smallest / longest, False)


def _encoded(pictures: Sequence[Pixels], scale: float, *, lossless: bool) -> tuple[str, ...]:
    return tuple(_webp(_reduced(Image.fromarray(picture), scale), lossless) for picture in pictures)


def _reduced(image: Image.Image, scale: float) -> Image.Image:
    if scale == 1.0:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BOX)  # the mean of what a pixel covers: no ringing in an error map


def _webp(image: Image.Image, lossless: bool) -> str:
    buffer = io.BytesIO()
    # method 2: a quarter of the default's time for a few percent more bytes
    image.save(buffer, "WEBP", lossless=lossless, quality=50 if lossless else _QUALITY, method=2)
    return data_uri(buffer.getvalue(), "image/webp")


def thumbnail(path: Path, side: int) -> str:
    """`data:image/…` of the picture, its long side at most `side` pixels; ImageError when it cannot be read whole.

    A file that is small in both senses (pixels, and bytes for a page) is carried as it is.
    """
    content = read_bytes(path)
    with opened_whole(content, path, COMMON) as image:
        if max(image.size) <= side and len(content) <= side * side * 3 // 4:
            return data_uri(content, Image.MIME[format_of(image)])
        return data_uri(_made_small(image, side), "image/webp")


def thumbnail_webp(path: Path, side: int) -> bytes:
    """A WebP file of the picture, its long side at most `side` pixels; ImageError when it cannot be read whole."""
    with opened_whole(read_bytes(path), path, COMMON) as image:
        return _made_small(image, side)


def _made_small(image: Image.Image, side: int) -> bytes:
    image.draft("RGB", (side, side))  # JPEG: decode at a fraction of the size
    small = image.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=_THUMBNAIL_QUALITY)
    return buffer.getvalue()


def data_uri(data: bytes, mime: str) -> str:
    """The bytes of a file as an address that holds them."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"
