"""Pictures with their record inside, in three formats."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tests.examples.record import REQUEST, embedded, read_record

from darkroom.errors import ImageError, StoreError
from darkroom.files.images.image_file import (
    encode_image,
    with_record,
    without_record,
    write_image,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
ENDINGS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}

PARAMETERS = """\
sks a photo of a person <lora:anna:0.5>
Negative prompt: blurry
Steps: 8, Sampler: Euler, Schedule type: aitk, CFG scale: 4.0, Seed: 7, Size: 64x48, Model: demo, \
Lora hashes: "anna: 5555555555", Version: darkroom 0.1.0, Hashes: {"lora:anna": "5555555555"}"""

NASTY = [
    "",
    "a \"quoted\" 'cat' \\ with a backslash",
    "</darkroom:record>]]> <script>alert(1)</script> &amp; <!-- -->",
    "emoji 🐈‍⬛, Hebrew שלום, combining é, CJK 猫",
    "control \x00\x01\x1b[31m\x7f\x85\u2028\u2029 and what XML cannot hold \ufffe\uffff",
    "lines\none\r\ntwo\ttab",
    "long " * 2_000,
]


def record(**changes):
    return embedded(REQUEST.changed(**changes)).to_json()


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("prompt", NASTY)
def test_the_record_comes_back_whatever_the_prompt(tmp_path, image_format, prompt):
    path = tmp_path / f"picture{ENDINGS[image_format]}"
    written = record(prompt=prompt, neg=prompt)
    write_image(path, PIXELS, written, image_format, 90)
    assert read_record(path) == written


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
def test_the_same_picture_is_the_same_file(tmp_path, image_format):
    first = write_image(tmp_path / "a", PIXELS, record(), image_format, 90)
    second = write_image(tmp_path / "b", PIXELS, record(), image_format, 90)
    assert first == second == (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["SHA256SUMS", "a", "b"]


def test_png_keeps_every_pixel_and_says_its_parameters(tmp_path):
    write_image(tmp_path / "a.png", PIXELS, record(), "png", 100)
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(np.asarray(image), PIXELS)
        assert image.info["parameters"] == PARAMETERS


@pytest.mark.parametrize("image_format", ["jpeg", "webp"])
def test_exif_holds_the_parameters_as_a1111_writes_them(tmp_path, image_format):
    write_image(tmp_path / "a", PIXELS, record(), image_format, 90)
    with Image.open(tmp_path / "a") as image:
        comment = image.getexif().get_ifd(0x8769)[0x9286]
    assert comment == b"UNICODE\0" + PARAMETERS.encode("utf-16-be")


@pytest.mark.parametrize(("quality", "sampling"), [(75, 2), (90, 1)])
def test_jpeg_keeps_full_colour_resolution_from_quality_90(tmp_path, quality, sampling):
    write_image(tmp_path / "a.jpg", PIXELS, record(), "jpeg", quality)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.layer[0][1:3] == (sampling, sampling)


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("kept", [0, 5, 40, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_told(tmp_path, image_format, kept):
    path = tmp_path / "cut"
    write_image(path, PIXELS, record(), image_format, 90)
    data = path.read_bytes()
    path.write_bytes(data[: kept if isinstance(kept, int) else int(len(data) * kept)])
    with pytest.raises(ImageError, match=r"cut: (expected a PNG, JPEG or WEBP picture|cut off|an empty file)"):
        read_record(path)


def test_pictures_of_other_programs_are_told(tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        read_record(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(ImageError, match="expected a PNG, JPEG or WEBP picture, got a file that begins with b'hello'"):
        read_record(tmp_path / "text.png")
    Image.fromarray(PIXELS).save(tmp_path / "plain.png")
    Image.fromarray(PIXELS).save(tmp_path / "xmp.jpg", xmp=b"<x:xmpmeta><broken>")
    for name in ("plain.png", "xmp.jpg"):
        with pytest.raises(ImageError, match="a picture without a Darkroom record; expected one in its metadata"):
            read_record(tmp_path / name)


def _with_text(path, text):
    info = PngInfo()
    info.add_itxt("darkroom", text)
    Image.fromarray(PIXELS).save(path, pnginfo=info)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "more than 100 lists and mappings inside each other; render or copy it again"),
        ('{"seed": ' + "1" * 5_000 + "}", "a whole number with more than 300 digits"),
        ('{"seed": 7, "seed": 8}', "key 'seed' is there twice in one object"),
        ('{"seed"', "column 8: Expecting ':' delimiter"),
        ("[]", "expected keys and values, got a list"),
    ],
)
def test_a_record_that_a_stranger_wrote_is_told(tmp_path, text, message):
    _with_text(tmp_path / "a.png", text)
    with pytest.raises(ImageError, match=f"a.png: its Darkroom record is damaged: {message}"):
        read_record(tmp_path / "a.png")


LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "lol"}">' for n in range(10))


@pytest.mark.parametrize(
    "packet",
    [
        '<?xml version="1.0" encoding="klingon"?><a/>',
        '<?xml version="1.0" encoding="utf-7"?><a/>',
        f"<!DOCTYPE a [{LAUGHS}]><a>&a9;</a>",
        '<!DOCTYPE a [<!ENTITY file SYSTEM "file:///etc/passwd">]><a>&file;</a>',
        "<a>" * 9_000 + "</a>" * 9_000,
    ],
)
def test_no_packet_of_a_stranger_holds_a_record(tmp_path, packet):
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", xmp=packet.encode())
    with pytest.raises(ImageError, match="a picture without a Darkroom record"):
        read_record(tmp_path / "a.jpg")


def test_postscript_is_not_run(tmp_path):
    (tmp_path / "a.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\nshowpage\n")
    with pytest.raises(ImageError, match=r"a\.png: expected a PNG, JPEG or WEBP picture, got a file that .* b'%!PS"):
        read_record(tmp_path / "a.png")


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("zeroed", [50, 512, 0.5])
def test_blocks_that_a_crash_left_zero_are_told(tmp_path, image_format, zeroed):
    data = encode_image(PIXELS, record(), image_format, 90)
    length = zeroed if isinstance(zeroed, int) else int(len(data) * zeroed)
    (tmp_path / "a").write_bytes(data[:-length] + bytes(length))
    with pytest.raises(ImageError, match=f"{tmp_path}/a: "):
        read_record(tmp_path / "a")


def test_a_record_as_attribute_is_found(tmp_path):
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:d="urn:darkroom:xmp:1.0/" d:record="{&quot;seed&quot;: 7}"/></rdf:RDF></x:xmpmeta>'
    )
    Image.fromarray(PIXELS).save(tmp_path / "a.webp", xmp=packet.encode())
    assert read_record(tmp_path / "a.webp") == {"seed": 7}


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(ImageError, match=r"its record does not fit into JPEG: .* choose png or webp in conf/output"):
        write_image(tmp_path / "a.jpg", PIXELS, record(prompt="x" * 70_000), "jpeg", 90)
    with pytest.raises(ValueError, match=r"expected one of \('png', 'jpeg', 'webp'\), got 'gif'"):
        write_image(tmp_path / "a.gif", PIXELS, record(), "gif", 90)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"a\.png: cannot be written"):
        write_image(tmp_path / "file" / "a.png", PIXELS, record(), "png", 90)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("prompt", [*NASTY, "x", "xy", "é", "é" * 3_000])
def test_another_record_makes_the_file_that_encoding_with_it_makes(image_format, prompt):
    nasty = record(prompt=prompt, neg=prompt, experiment="second", image_name="other")
    for old, new in [(record(), nasty), (nasty, record()), (nasty, nasty)]:
        data = encode_image(PIXELS, old, image_format, 90)
        assert with_record(data, new) == encode_image(PIXELS, new, image_format, 90)


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("prompt", ["a cat", "é" * 3_000])
def test_a_picture_without_its_record_is_the_file_that_has_never_had_one(image_format, prompt):
    plain = io.BytesIO()
    settings = {"jpeg": {"subsampling": "4:4:4"}, "png": {"compress_type": zlib.Z_RLE}}.get(image_format, {})
    Image.fromarray(PIXELS).save(plain, image_format, quality=90, **settings)
    data = encode_image(PIXELS, record(prompt=prompt), image_format, 90)
    assert without_record(data) == without_record(without_record(data)) == plain.getvalue()


def test_webp_is_padded_to_even_chunks_and_says_its_size_and_its_metadata():
    data = encode_image(PIXELS, record(prompt="abc"), "webp", 50)
    odd_and_even = [with_record(data, record(prompt="x" * length)) for length in (90, 91)]
    for data in odd_and_even:
        assert int.from_bytes(data[4:8], "little") == len(data) - 8
        assert data[12:21] == b"VP8X\x0a\0\0\0\x0c"  # EXIF, 8, and XMP, 4
    assert {data.partition(b'<?xpacket end="r"?>')[2] for data in odd_and_even} == {b"", b"\0"}


def test_another_record_of_another_quality_and_size(tmp_path):
    for image_format, quality in [("jpeg", 100), ("jpeg", 30), ("webp", 100), ("webp", 1)]:
        pixels = PIXELS[:31, :17].copy()
        (tmp_path / "a").write_bytes(with_record(encode_image(pixels, record(), image_format, quality), record(neg="")))
        assert (tmp_path / "a").read_bytes() == encode_image(pixels, record(neg=""), image_format, quality)
        assert read_record(tmp_path / "a") == record(neg="")


def test_a_record_that_is_too_long_for_jpeg_is_told():
    long = record(prompt="x" * 70_000)
    with pytest.raises(ImageError, match=r"its record does not fit into JPEG: \d+ bytes, at most 65000; shorten"):
        with_record(encode_image(PIXELS, record(), "jpeg", 90), long)
    assert with_record(encode_image(PIXELS, record(), "webp", 90), long) == encode_image(PIXELS, long, "webp", 90)


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
def test_no_cut_file_gets_another_record(image_format):
    data = encode_image(PIXELS[:8, :8].copy(), record(), image_format, 50)
    for kept in range(len(data)):
        with pytest.raises(ImageError, match=r"^(cut off|expected a PNG, JPEG or WebP file, got \d+ bytes)"):
            with_record(data[:kept], record())


@pytest.mark.parametrize(
    ("image_format", "metadata", "expected"),
    [
        ("png", {}, r"expected one b'tEXtparameters\\x00' in this png file, got 0; render it again"),
        ("jpeg", {}, r"expected one b'\\xff\\xe1Exif\\x00\\x00' in this jpeg file, got 0"),
        ("webp", {}, r"expected one b'EXIF' in this webp file, got 0"),
        ("jpeg", {"exif": b"Exif\0\0MM", "xmp": b"<theirs/>"}, r"expected one b'\\xff\\xe1http://ns\.adobe.* got 0"),
        ("webp", {"exif": b"Exif\0\0MM", "xmp": b"<theirs/>"}, r"expected one b'XMP <\?xpacket .* got 0"),
    ],
)
def test_pictures_of_other_programs_get_no_record(tmp_path, image_format, metadata, expected):
    Image.fromarray(PIXELS).save(tmp_path / "a", image_format, **metadata)
    with pytest.raises(ImageError, match=f"not a picture as Darkroom wrote it: {expected}"):
        with_record((tmp_path / "a").read_bytes(), record())
