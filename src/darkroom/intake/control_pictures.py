"""Pictures that a request carries as base64 or names by URL, as bytes that are known to be one. Writes nothing."""

import base64
import binascii
import time

from darkroom.errors import ConfigError, one_line
from darkroom.files.images.opened import COMMON, format_of, opened_whole
from darkroom.files.regular_file import MEGABYTE

_BYTES = 32 * MEGABYTE
_SECONDS = 30.0  # for one download, from beginning to end
_ENDINGS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}


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
        raise ConfigError(f"{where}: {url!r}: cannot be downloaded: {one_line(error)}") from error
    return bytes(content)


def ending(content: bytes, where: str) -> str:
    """png, jpg or webp; ConfigError for what is too large, ImageError for what is not one whole picture."""
    if len(content) > _BYTES:
        raise ConfigError(f"{where}: {_too_large()}")
    with opened_whole(content, where, COMMON) as image:
        image.load()
        return _ENDINGS[format_of(image)]


def _too_large() -> str:
    return f"larger than {_BYTES // MEGABYTE} MB"
