"""Pictures that a request carries as base64 or names by URL, as bytes that are known to be one. Writes nothing."""

import base64
import binascii
import io
import time
import warnings

from darkroom.errors import ConfigError
from darkroom.intake.stranger import MEGABYTE

_BYTES = 32 * MEGABYTE
_PIXELS = 64_000_000  # as for every reference image
_SECONDS = 30.0  # for one download, from beginning to end
_ENDINGS = {"PNG": "png", "JPEG": "jpg", "MPO": "jpg", "WEBP": "webp"}  # MPO: a JPEG with a second picture in it


def is_url(source: str) -> bool:
    """What ai-toolkit-inference takes for a URL; everything else is base64 to it."""
    return source.casefold().startswith("http")


def decoded(source: str, where: str) -> bytes:
    """The bytes of base64 text, with or without `data:image/png;base64,` before it. ConfigError begins with `where`."""
    text = source.partition(",")[2] if source.startswith("data:") else source
    if len(text) > _BYTES * 4 // 3 + MEGABYTE:
        raise ConfigError(f"{where}: {_too_large()}")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        shown = repr(source if len(source) <= 40 else f"{source[:40]}…")
        raise ConfigError(f"{where}: expected base64 or a URL, got {shown} ({error})") from error


def downloaded(url: str, where: str) -> bytes:
    """What is at an address of http or https. ConfigError where it cannot be had, is too large or takes too long."""
    import httpx2

    content, end = bytearray(), time.monotonic() + _SECONDS
    try:
        with httpx2.stream("GET", url, follow_redirects=True, timeout=10.0) as response:
            response.raise_for_status()
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > _BYTES:
                    raise ConfigError(f"{where}: {url!r}: {_too_large()}")
                if time.monotonic() > end:
                    raise ConfigError(f"{where}: {url!r}: not whole after {_SECONDS:g} seconds; try again, or copy it")
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"{where}: {url!r}: cannot be downloaded: {said}") from error
    return bytes(content)


def ending(content: bytes, where: str) -> str:
    """png, jpg or webp. ConfigError for anything that is not one whole picture of 64 megapixels at most."""
    from PIL import Image, UnidentifiedImageError

    if len(content) > _BYTES:
        raise ConfigError(f"{where}: {_too_large()}")
    try:
        with warnings.catch_warnings():
            # Pillow has limits of its own, and between two of them it only warns.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP")) as image:
                image.verify()
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP")) as image:
                if image.format != "MPO" and (frames := getattr(image, "n_frames", 1)) > 1:
                    raise ConfigError(f"{where}: has {frames} frames; send the one you mean")
                if image.width * image.height > _PIXELS:
                    raise ConfigError(f"{where}: {image.width}x{image.height}: at most 64 megapixels are taken")
                image.load()
                return _ENDINGS[str(image.format)]
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ConfigError(f"{where}: at most 64 megapixels are taken: {error}") from error
    except UnidentifiedImageError as error:
        raise ConfigError(f"{where}: not a PNG, JPEG or WebP picture") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:  # what Pillow's readers raise for damaged files
        raise ConfigError(f"{where}: a damaged picture: {error}") from error


def _too_large() -> str:
    return f"larger than {_BYTES // MEGABYTE} MB"
