"""Chunks of PNG and WebP files, segments of JPEG files: splits and joins them; tells where one is damaged.

A chunk is bytes here: its kind (PNG and WebP: four letters; JPEG: the two bytes of the marker), then its content.
Length, checksum and padding are checked by `split` and made anew by `join`. The compressed pixels are never decoded;
of a JPEG, everything from its first scan on is one last chunk.
"""

import zlib
from collections.abc import Callable, Sequence

from darkroom.errors import ImageError

AGAIN = "render or copy it again"
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"


def split(data: bytes) -> tuple[str, list[bytes]]:
    """The format ("png", "jpeg" or "webp") and all chunks, in order; ImageError unless the file is these and whole."""
    image_format, chunks, end = _split(data)
    if end != len(data):
        raise ImageError(f"appended to: its last chunk ends at byte {end}, the file at {len(data)}; {AGAIN}")
    return image_format, chunks


def split_leniently(data: bytes) -> tuple[str, list[bytes]]:
    """The same of a file that a program may have appended things to."""
    image_format, chunks, _ = _split(data)
    return image_format, chunks


def check_whole(data: bytes) -> None:
    """ImageError where a PNG, JPEG or WebP file is cut off, or damaged as far as that shows without decoding it.

    A PNG has checksums, a JPEG its last marker, a WebP file its length and the kinds of its chunks. Programs append
    things of their own, which are no damage. Nothing is said of a file in another format.
    """
    image_format = _format_of(data)
    if image_format is not None:
        _SPLITTERS[image_format](data)


def is_lossy(data: bytes) -> bool:
    """True for a JPEG, and for a WebP file unless its pixels are in VP8L; ImageError as for `check_whole`."""
    image_format = _format_of(data)
    if image_format != "webp":
        return image_format == "jpeg"
    return not any(chunk.startswith(b"VP8L") for chunk in _split_webp(data)[0])


def join(image_format: str, chunks: Sequence[bytes]) -> bytes:
    """The file of these chunks: the inverse of `split`."""
    if image_format == "png":
        return _PNG + b"".join(_png_chunk(chunk) for chunk in chunks)
    if image_format == "jpeg":
        return _JPEG_START + b"".join(chunk if chunk[:2] == _JPEG_SCAN else _jpeg_segment(chunk) for chunk in chunks)
    if image_format == "webp":
        return _webp_chunk(b"RIFFWEBP" + b"".join(_webp_chunk(chunk) for chunk in chunks))
    raise ValueError(f"image_format: expected 'png', 'jpeg' or 'webp', got {image_format!r}")


def _split(data: bytes) -> tuple[str, list[bytes], int]:
    """`split`, and where the last chunk ends."""
    image_format = _format_of(data)
    if image_format is None:
        raise ImageError(f"expected a PNG, JPEG or WebP file, got {len(data)} bytes that begin with {data[:12]!r}")
    return image_format, *_SPLITTERS[image_format](data)


def _format_of(data: bytes) -> str | None:
    if data.startswith(_PNG):
        return "png"
    if data.startswith(_JPEG_START):
        return "jpeg"
    return "webp" if data.startswith(b"RIFF") and data[8:12] == b"WEBP" else None


def _split_png(data: bytes) -> tuple[list[bytes], int]:
    """PNG, third edition, section 5.3: length of the content, kind, content, CRC of the two."""
    chunks: list[bytes] = []
    at = len(_PNG)
    while chunks[-1:] != [b"IEND"]:
        length = int.from_bytes(_taken(data, at, 4), "big")
        chunk = _taken(data, at + 4, 4 + length)
        if _taken(data, at + 8 + length, 4) != _checksum(chunk):
            raise ImageError(f"damaged in its chunk {chunk[:4]!r} at byte {at}: wrong checksum; {AGAIN}")
        chunks.append(chunk)
        at += 12 + length
    return chunks, at


def _split_jpeg(data: bytes) -> tuple[list[bytes], int]:
    """ITU-T T.81, annex B: marker, length that counts itself, content; after a scan's header, pixels without one.

    A byte of 255 among the pixels is followed by 0: an end of image there is one.
    """
    chunks, at = [], len(_JPEG_START)
    while (marker := _taken(data, at, 2)) != _JPEG_SCAN:
        if marker == b"\xff\xff":  # a byte of filling before the marker
            at += 1
            continue
        length = int.from_bytes(_taken(data, at + 2, 2), "big")
        if marker[:1] != b"\xff" or length < 2:
            raise ImageError(f"damaged: expected a JPEG segment at byte {at}, got {data[at : at + 4]!r}; {AGAIN}")
        chunks.append(marker + _taken(data, at + 4, length - 2))
        at += 2 + length
    end = data.find(_JPEG_END, at)
    if end < 0:
        raise ImageError(f"cut off or damaged: no end of image among its {len(data)} bytes; {AGAIN}")
    return [*chunks, data[at : end + 2]], end + 2


def _split_webp(data: bytes) -> tuple[list[bytes], int]:
    """RFC 9649, section 2.3: kind, length of the content, content, a byte of padding after an odd length."""
    chunks, at, end = [], 12, int.from_bytes(data[4:8], "little") + 8
    if end > len(data):
        raise ImageError(f"cut off: its header says {end} bytes, got {len(data)}; {AGAIN}")
    data = data[:end]
    while at < end:
        kind, length = _taken(data, at, 4), int.from_bytes(_taken(data, at + 4, 4), "little")
        if not (kind.isascii() and kind.decode().isprintable()):
            raise ImageError(f"damaged: expected a chunk of WebP at byte {at}, got {data[at : at + 8]!r}; {AGAIN}")
        chunks.append(kind + _taken(data, at + 8, length + length % 2)[:length])
        at += 8 + length + length % 2
    return chunks, at


def _taken(data: bytes, at: int, length: int) -> bytes:
    taken = data[at : at + length]
    if len(taken) < length:
        raise ImageError(f"cut off: expected {length} bytes at byte {at}, got {len(taken)}; {AGAIN}")
    return taken


def _checksum(chunk: bytes) -> bytes:
    return zlib.crc32(chunk).to_bytes(4, "big")


def _png_chunk(chunk: bytes) -> bytes:
    return (len(chunk) - 4).to_bytes(4, "big") + chunk + _checksum(chunk)


def _jpeg_segment(chunk: bytes) -> bytes:
    if len(chunk) > 0xFFFF:
        raise ImageError(f"a JPEG segment of {len(chunk) - 2} bytes; at most 65533 fit")
    return chunk[:2] + len(chunk).to_bytes(2, "big") + chunk[2:]  # length and marker are two bytes each


def _webp_chunk(chunk: bytes) -> bytes:
    return chunk[:4] + (len(chunk) - 4).to_bytes(4, "little") + chunk[4:] + b"\0" * (len(chunk) % 2)


_SPLITTERS: dict[str, Callable[[bytes], tuple[list[bytes], int]]] = {
    "png": _split_png,
    "jpeg": _split_jpeg,
    "webp": _split_webp,
}
