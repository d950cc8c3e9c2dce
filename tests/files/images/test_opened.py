"""Pictures of anybody: which are opened, and a sentence for every other file, at once."""

import io
import os
import socket
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from darkroom.errors import ImageError
from darkroom.files.images.opened import ALL, COMMON, format_of, opened, opened_whole, read_bytes


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*chunks: bytes, width: int = 2, height: int = 2) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


PIXELS = chunk(b"IDAT", zlib.compress(b"\0" + bytes(6) + b"\0" + bytes(6)))
GIF = b"GIF87a\x02\0\x02\0\x81" + bytes(14) + b",\0\0\0\0\x02\0\x02\0\0\x08\x06\0\x01\x08\x04\x10\x10\0"
TIFF = b"II*\0\x08\0\0\0" + struct.pack(
    "<H" + "HHII" * 8 + "I",
    8,
    *(256, 4, 1, 2),  # width
    *(257, 4, 1, 2),  # height
    *(259, 3, 1, 1),  # not compressed
    *(262, 3, 1, 1),  # black is 0
    *(273, 4, 1, 110),  # where the pixels lie
    *(278, 4, 1, 2),  # rows of a strip
    *(279, 4, 1, 2),  # its bytes
    *(284, 3, 1, 1),
    0,  # the next page
)


def encoded(image_format: str) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((64, 48), 80).convert("RGB").save(buffer, image_format)
    return buffer.getvalue()


def read(content: bytes) -> Image.Image:
    with opened_whole(content, "x", ALL) as image:
        assert image.has_transparency_data in (True, False)
        image.load()
        return image


def fault(content: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        read(content)
    assert str(caught.value).startswith("x: ")
    return str(caught.value).removeprefix("x: ")


@pytest.mark.parametrize("image_format", ALL)
def test_a_whole_picture_of_each_format(image_format):
    image = read(encoded(image_format))
    assert (image.size, format_of(image)) == ((64, 48), image_format)


@pytest.mark.parametrize("image_format", ALL)
@pytest.mark.parametrize("kept", [0, 3, 30, 0.5, 0.9])
def test_no_file_that_is_cut_off_is_read(image_format, kept):
    content = encoded(image_format)
    assert fault(content[: kept if isinstance(kept, int) else int(len(content) * kept)])


@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
@pytest.mark.parametrize("zeroed", [100, 0.5])
def test_blocks_that_a_crash_left_zero_are_damage(image_format, zeroed):
    content = encoded(image_format)
    length = zeroed if isinstance(zeroed, int) else int(len(content) * zeroed)
    assert fault(content[:-length] + bytes(length)).endswith("; render or copy it again")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a PNG, JPEG, WEBP, TIFF, BMP, GIF or AVIF picture, got an empty file; render or copy it again"),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\nshowpage\n",
            "expected a PNG, JPEG, WEBP, TIFF, BMP, GIF or AVIF picture, got a file that begins with b'%!PS-Adobe-3'; "
            "save it as one of them",
        ),
        (png(), "damaged: cannot load this image; render or copy it again"),
        (png(chunk(b"IDAT", b"")), "damaged: image file is truncated (0 bytes not processed); render or copy it again"),
        (png(chunk(b"IDAT", b"hello")), "damaged: broken data stream when reading image file; render or copy it again"),
        (png(PIXELS)[:-1], "cut off: expected 4 bytes at byte 64, got 3; render or copy it again"),
        (png(PIXELS, width=9000, height=8000), "9000x8000 is 72 megapixels; at most 64 are read"),
        (png(PIXELS, width=12_000, height=12_000), "12000x12000 is 144 megapixels; at most 64 are read"),
        (
            png(PIXELS, width=30_000, height=30_000),
            "too large: Image size (900000000 pixels) exceeds limit of 178956970",
        ),
        (
            png(chunk(b"iTXt", b"darkroom\0\x01\0\0\0" + zlib.compress(bytes(10**7))), PIXELS),
            "damaged: Decompressed data too large for PngImagePlugin.MAX_TEXT_CHUNK; render or copy it again",
        ),
        (GIF[:-8], "damaged: image file is truncated (0 bytes not processed); render or copy it again"),
        (GIF + b"!", "damaged: index out of range; render or copy it again"),
        (GIF + b"!\xf9\x04\x01\0\0\x01\0,", "damaged: unpack_from requires a buffer of at least 2 bytes"),
        (TIFF[:-4] + struct.pack("<I", 120), "damaged: Missing dimensions; render or copy it again"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "cut off: its header says 44 bytes, got 16; render or copy it again"),
    ],
)
def test_a_sentence_for_each_file_that_is_no_picture(content, message):
    assert fault(content).startswith(message)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    os.mkfifo("fifo.png")
    Path("folder.png").mkdir()
    Path("link.png").symlink_to("fifo.png")
    Path("device.png").symlink_to("/dev/zero")
    with Path("large.png").open("wb") as file:
        file.truncate(576_000_001)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")
    said = {}
    for name in ("fifo", "folder", "link", "device", "large", "socket", "lacking"):
        with pytest.raises(ImageError) as caught:
            read_bytes(Path(f"{name}.png"))
        with pytest.raises(ImageError, match=f"{name}.png: ") as again, opened(Path(f"{name}.png"), COMMON):
            pass
        assert str(again.value) == str(caught.value)
        said[name] = str(caught.value).removeprefix(f"{name}.png: ")
    assert said == {
        "fifo": "expected a file, got a FIFO",
        "folder": "expected a file, got a folder",
        "link": "expected a file, got a FIFO",
        "device": "expected a file, got a device",
        "large": "576000001 bytes; at most 576000000 are read of such a file",
        "socket": "cannot be opened: No such device or address",
        "lacking": "no such file (paths start at the working directory)",
    }


def test_a_header_can_be_read_of_a_picture_that_is_not_whole(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded("JPEG")[:-100])
    with opened(tmp_path / "a.jpg", COMMON) as image:
        assert image.size == (64, 48)


def test_of_several_pictures_in_a_file_nobody_knows_which_is_meant(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green")]
    for image_format in ("PNG", "WEBP", "GIF", "TIFF"):
        frames[0].save(tmp_path / "a", image_format, save_all=True, append_images=frames[1:])
        assert fault((tmp_path / "a").read_bytes()) == (
            "has 2 frames or pages; save the one you mean as a picture of its own"
        )
    frames[0].save(tmp_path / "a", "MPO", save_all=True, append_images=frames[1:])  # a camera's second, smaller one
    assert format_of(read((tmp_path / "a").read_bytes())) == "JPEG"


def test_what_the_library_says_of_a_file_stays_off_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    samples = TIFF.replace(struct.pack("<HHII", 284, 3, 1, 1), struct.pack("<HHII", 277, 3, 1, 279))
    assert "damaged" in fault(samples) or "expected" in fault(samples)
    assert "damaged" in fault(png(chunk(b"acTL", bytes(8)), chunk(b"acTL", bytes(8))))
    assert capfd.readouterr() == ("", "")
