"""A picture file as a data URI that a page can carry inside. Does not know what is on it or how many there are."""

import base64
import io
from pathlib import Path

from PIL import Image

from darkroom.errors import ImageError

_QUALITY = 80  # of WebP


def thumbnail(path: Path, side: int) -> str:
    """`data:image/…` of the picture, its long side at most `side` pixels; ImageError when it cannot be read whole.

    A file that is small in both senses (pixels, and bytes for a page) is carried as it is.
    """
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            if max(image.size) <= side and len(data) <= side * side * 3 // 4:
                return data_uri(data, Image.MIME[image.format or ""])
            image.draft("RGB", (side, side))  # JPEG: decode at a fraction of the size
            small = image.convert("RGB")
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path}: cannot be read whole: {error}") from error
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=_QUALITY)
    return data_uri(buffer.getvalue(), "image/webp")


def data_uri(data: bytes, mime: str) -> str:
    """The bytes of a file as an address that holds them."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"
