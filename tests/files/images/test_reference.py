"""Reference images: which can be used, and a sentence for those that cannot."""

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from darkroom.errors import ImageError
from darkroom.files.images.reference import SizeLimits, read_image_header, read_reference

LIMITS = SizeLimits(shortest_side=64, largest_aspect=8)


@pytest.mark.parametrize(("mode", "read_as"), [("RGB", "RGB"), ("L", "RGB"), ("CMYK", "RGB"), ("RGBA", "RGBA")])
def test_a_picture_is_read_in_colour_and_keeps_its_transparency(tmp_path, mode, read_as):
    Image.new(mode, (64, 64)).save(tmp_path / "a.tif")
    assert read_reference(tmp_path / "a.tif").mode == read_as


def test_a_turned_photograph_is_seen_as_it_is_stored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 64)).save(tmp_path / "a.jpg", exif=exif)
    assert read_image_header(tmp_path / "a.jpg").warning == (
        f"{tmp_path}/a.jpg: its EXIF orientation (6) is not applied, as in the trainer: the model sees it turned"
    )
    assert read_reference(tmp_path / "a.jpg").size == (80, 64)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((63, 200), "63x200: each side needs 64 pixels at least"),
        ((64, 513), "64x513: one side may be at most 8 times the other"),
    ],
)
def test_a_size_that_is_not_within_the_limits(tmp_path, size, message):
    Image.new("1", size).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=message):
        read_image_header(tmp_path / "a.png", LIMITS)
    assert read_reference(tmp_path / "a.png").size == size


def test_the_longest_side_that_is_taken(tmp_path):
    Image.new("RGB", (64, 512)).save(tmp_path / "a.png")
    assert read_image_header(tmp_path / "a.png", LIMITS).warning is None


def test_no_picture_is_read_above_64_megapixels(tmp_path):
    Image.new("1", (8001, 8000)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="8001x8000 is 64 megapixels; at most 64 are read"):
        read_reference(tmp_path / "a.png")


@pytest.mark.parametrize(("mode", "has_transparency"), [("RGB", False), ("RGBA", True), ("LA", True), ("P", False)])
def test_the_header_tells_of_transparency(tmp_path, mode, has_transparency):
    Image.new(mode, (64, 64)).save(tmp_path / "a.png")
    header = read_image_header(tmp_path / "a.png")
    assert (header.mode, header.has_transparency) == (mode, has_transparency)


def test_files_that_are_no_picture(tmp_path):
    faults = {
        "gone.png": "no such file",
        "text.png": "expected a PNG, JPEG, WEBP, TIFF, BMP, GIF or AVIF picture, got a file that begins with b'not a ",
        "animation.gif": "has 3 frames or pages",
        "cut.png": "cut off: expected ",
        "bomb.png": "too large: ",
    }
    (tmp_path / "text.png").write_text("not a picture")
    frames = [Image.new("RGB", (64, 64), color) for color in ("red", "green", "blue")]
    frames[0].save(tmp_path / "animation.gif", save_all=True, append_images=frames[1:])
    Image.effect_noise((256, 256), 50).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:20_000])
    _write_bomb(tmp_path / "bomb.png", 30_000, 30_000)
    for name, fault in faults.items():
        with pytest.raises(ImageError, match=f"{name}: {fault}"):
            read_reference(tmp_path / name)


def _write_bomb(path: Path, width: int, height: int) -> None:
    """A PNG of a few hundred bytes that claims to have this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def test_a_cameras_second_picture_is_no_animation(tmp_path):
    pictures = [Image.new("RGB", (80, 64), color) for color in ("red", "blue")]
    pictures[0].save(tmp_path / "photo.jpg", format="MPO", save_all=True, append_images=pictures[1:])
    assert read_reference(tmp_path / "photo.jpg").getpixel((0, 0))[0] > 200
