"""Files of three formats, cut into chunks and put together again."""

import pytest

from darkroom.errors import ImageError
from darkroom.files.container import check_whole, is_lossy, join, split

PNG_TEXT, PNG_END = b"\0\0\0\x04tEXtab\0c\xab\xf6\x69\x82", b"\0\0\0\0IEND\xae\x42\x60\x82"
PNG = b"\x89PNG\r\n\x1a\n" + PNG_TEXT + PNG_END
JPEG_SCAN = b"\xff\xda\0\x03\x01pixels\xff\0\xff\xd0\xff\xd9"
JPEG = b"\xff\xd8" + b"\xff\xe0\0\x06JFIF" + JPEG_SCAN
WEBP = b"RIFF\x1a\0\0\0WEBP" + b"VP8 \x03\0\0\0abc\0" + b"EXIF\x02\0\0\0MM"


@pytest.mark.parametrize(
    ("data", "image_format", "chunks"),
    [
        (PNG, "png", [b"tEXtab\0c", b"IEND"]),
        (JPEG, "jpeg", [b"\xff\xe0JFIF", JPEG_SCAN]),
        (WEBP, "webp", [b"VP8 abc", b"EXIFMM"]),
    ],
)
def test_a_file_is_its_chunks(data, image_format, chunks):
    assert split(data) == (image_format, chunks)
    assert join(image_format, chunks) == data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"expected a PNG, JPEG or WebP file, got 0 bytes"),
        (b"GIF89a", r"expected a PNG, JPEG or WebP file, got 6 bytes that begin with b'GIF89a'"),
        (PNG[:-5], r"cut off: expected 4 bytes at byte 28, got 3; render or copy it again"),
        (PNG.removesuffix(PNG_END), r"cut off: expected 4 bytes at byte 24, got 0"),
        (PNG + b"\0", r"appended to: its last chunk ends at byte 36, the file at 37"),
        (PNG.replace(b"ab", b"aB"), r"damaged in its chunk b'tEXt' at byte 8: wrong checksum"),
        (JPEG[:-1], r"cut off or damaged: no end of image among its 26 bytes; render or copy it again"),
        (JPEG + b"\0", r"appended to: its last chunk ends at byte 27, the file at 28"),
        (JPEG[:9], r"cut off: expected 4 bytes at byte 6, got 3"),
        (
            JPEG.replace(b"\xff\xe0", b"\0\xe0"),
            r"damaged: expected a JPEG segment at byte 2, got b'\\x00\\xe0\\x00\\x06'",
        ),
        (JPEG.replace(b"\0\x06", b"\0\x01"), r"damaged: expected a JPEG segment at byte 2"),
        (WEBP[:-1], r"cut off: its header says 34 bytes, got 33"),
        (WEBP + b"\0", r"appended to: its last chunk ends at byte 34, the file at 35"),
        (WEBP[:24] + bytes(10), r"damaged: expected a chunk of WebP at byte 24, got b'\\x00\\x00\\x00\\x00"),
        (WEBP.replace(b"\x02\0\0\0MM", b"\x03\0\0\0MM"), r"cut off: expected 4 bytes at byte 32, got 2"),
    ],
)
def test_what_is_no_whole_file_is_told(data, message):
    with pytest.raises(ImageError, match=message):
        split(data)


@pytest.mark.parametrize("data", [PNG, JPEG, WEBP])
def test_what_programs_append_is_no_damage(data):
    check_whole(data + b"\0\0more")


def test_a_jpeg_may_have_bytes_of_filling_before_its_markers():
    check_whole(JPEG.replace(b"\xff\xe0", b"\xff\xff\xff\xe0"))


@pytest.mark.parametrize(("data", "said"), [(PNG, False), (JPEG, True), (WEBP, True)])
def test_whether_a_file_is_lossy(data, said):
    assert is_lossy(data) is said
    assert not is_lossy(WEBP.replace(b"VP8 ", b"VP8L"))


def test_what_cannot_be_joined_is_told():
    assert join("jpeg", [b"\xff\xe1" + b"x" * 65_533])[2:6] == b"\xff\xe1\xff\xff"
    with pytest.raises(ImageError, match="a JPEG segment of 65534 bytes; at most 65533 fit"):
        join("jpeg", [b"\xff\xe1" + b"x" * 65_534])
    with pytest.raises(ValueError, match="expected 'png', 'jpeg' or 'webp', got 'gif'"):
        join("gif", [])
