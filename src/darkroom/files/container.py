"""Chunks of PNG and WebP files, segments of JPEG files: splits and joins them. Knows nothing of what they hold.

A chunk is bytes here: its kind (PNG and WebP: four letters; JPEG: the two bytes of the marker), then its content.
Length, checksum and padding are checked by `split` and made anew by `join`. The compressed pixels are never decoded;
of a JPEG, everything from its first scan on is one last chunk.
"""

import zlib
from collections.abc import Sequence

from darkroom.errors import ImageError

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
_AGAIN = "render or copy it again"


def split(data: bytes) -> tuple[str, list[bytes]]:
    """The format ("png", "jpeg" or "webp") and all chunks, in their order; ImageError unless the file is whole."""
    if data.startswith(_PNG):
        return "png", _split_png(data)
    if data.startswith(_JPEG_START):
        return "jpeg", _split_jpeg(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp", _split_webp(data)
    raise ImageError(f"expected a PNG, JPEG or WebP file, got {len(data)} bytes that begin with {data[:12]!r}")


def join(image_format: str, chunks: Sequence[bytes]) -> bytes:
    """The file of these chunks: the inverse of `split`."""
    if image_format == "png":
        return _PNG + b"".join(_png_chunk(chunk) for chunk in chunks)
    if image_format == "jpeg":
        return _JPEG_START + b"".join(chunk if chunk[:2] == _JPEG_SCAN else _jpeg_segment(chunk) for chunk in chunks)
    if image_format == "webp":
        return _webp_chunk(b"RIFFWEBP" + b"".join(_webp_chunk(chunk) for chunk in chunks))
    raise ValueError(f"image_format: expected 'png', 'jpeg' or 'webp', got {image_format!r}")


def _split_png(data: bytes) -> list[bytes]:
    """PNG, third edition, section 5.3: length of the content, kind, content, CRC of the two."""
    chunks: list[bytes] = []
    at = len(_PNG)
    while chunks[-1:] != [b"IEND"]:
        length = int.from_bytes(_taken(data, at, 4), "big")
        chunk = _taken(data, at + 4, 4 + length)
        if _taken(data, at + 8 + length, 4) != _checksum(chunk):
            raise ImageError(f"damaged in its chunk {chunk[:4]!r} at byte {at}: wrong checksum; {_AGAIN}")
        chunks.append(chunk)
        at += 12 + length
    if at != len(data):
        raise ImageError(f"appended to: its last chunk ends at byte {at}, the file at {len(data)}; {_AGAIN}")
    return chunks


def _split_jpeg(data: bytes) -> list[bytes]:
    """ITU-T T.81, annex B: marker, length that counts itself, content; after a scan's header, pixels without one."""
    chunks, at = [], len(_JPEG_START)
    while (marker := _taken(data, at, 2)) != _JPEG_SCAN:
        length = int.from_bytes(_taken(data, at + 2, 2), "big")
        if marker[:1] != b"\xff" or length < 2:
            raise ImageError(f"damaged: expected a JPEG segment at byte {at}, got {data[at : at + 4]!r}; {_AGAIN}")
        chunks.append(marker + _taken(data, at + 4, length - 2))
        at += 2 + length
    if not data.endswith(_JPEG_END):
        raise ImageError(f"cut off or appended to: expected JPEG's end of image after {len(data)} bytes; {_AGAIN}")
    return [*chunks, data[at:]]


def _split_webp(data: bytes) -> list[bytes]:
    """RFC 9649, section 2.3: kind, length of the content, content, a byte of padding after an odd length."""
    length = int.from_bytes(data[4:8], "little")
    if length != len(data) - 8:
        raise ImageError(f"cut off or appended to: its header says {length + 8} bytes, got {len(data)}; {_AGAIN}")
    chunks, at = [], 12
    while at < len(data):
        kind, length = _taken(data, at, 4), int.from_bytes(_taken(data, at + 4, 4), "little")
        chunks.append(kind + _taken(data, at + 8, length + length % 2)[:length])
        at += 8 + length + length % 2
    return chunks


def _taken(data: bytes, at: int, length: int) -> bytes:
    taken = data[at : at + length]
    if len(taken) < length:
        raise ImageError(f"cut off: expected {length} bytes at byte {at}, got {len(taken)}; {_AGAIN}")
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
