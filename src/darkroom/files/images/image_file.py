"""Pixels and their record to PNG, JPEG or WebP, and the record back.

Each file says twice what it shows: the whole record as JSON, and the `parameters` text of AUTOMATIC1111's web UI,
which galleries and prompt readers understand.

    PNG    iTXt `darkroom`;                 tEXt `parameters` (iTXt where Latin-1 does not suffice)
    JPEG   XMP  `darkroom:record`;          EXIF UserComment; 4:4:4 from quality 90, below it Pillow's 4:2:0
    WebP   the same two as JPEG             always lossy, at quality 100 too

`with_record` exchanges both in a file, as in one that a second experiment uses under other names; `without_record`
leaves nothing but the pixels.

The bytes depend on pixels, record, format, quality and the versions of Pillow and its codecs alone.
"""

import io
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from darkroom.errors import ImageError, NoRecordError
from darkroom.files.container import AGAIN, join, split
from darkroom.files.content import write_content
from darkroom.files.images.opened import COMMON, opened_whole
from darkroom.files.images.parameters import parameters_text
from darkroom.files.json_text import parse_json

FORMATS = ("png", "jpeg", "webp")

_NAMESPACE = "urn:darkroom:xmp:1.0/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">'
    f'<rdf:Description rdf:about="" xmlns:darkroom="{_NAMESPACE}"><darkroom:record>%s</darkroom:record>'
    '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)
_APP1, _EXIF, _XMP = b"\xff\xe1", b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"  # how JPEG marks the two
# What a decoder needs of a file of ours, by its first bytes: the rest says something about it.
_PIXELS = {
    "png": (b"IHDR", b"IDAT", b"IEND"),
    "jpeg": (b"\xff\xe0", b"\xff\xdb", b"\xff\xc0", b"\xff\xc2", b"\xff\xc4", b"\xff\xda"),
    "webp": (b"VP8 ", b"VP8L"),
}
_SEGMENT = 65_000  # bytes; a JPEG segment holds 65,533, less the identifiers of EXIF and XMP


def write_image(
    path: Path, pixels: npt.NDArray[np.uint8], record: Mapping[str, Any], image_format: str, quality: int
) -> bytes:
    """Write (height, width, 3) pixels with their record, and its digest beside the file; returns what is in the file.

    `quality` is 1 to 100 and counts for JPEG and WebP. StoreError when the disk says no, ImageError when a record
    is too long for JPEG.
    """
    data = encode_image(pixels, record, image_format, quality)
    write_content(path, data)
    return data


def encode_image(pixels: npt.NDArray[np.uint8], record: Mapping[str, Any], image_format: str, quality: int) -> bytes:
    """The bytes of the file that `write_image` writes."""
    image, buffer = Image.fromarray(pixels, "RGB"), io.BytesIO()
    if image_format == "png":
        # Of a picture's repetitions deflate finds little but runs: to look for others takes 4 to 6 times as long, and
        # the file of a photograph is as large, by 3 % more or less.
        image.save(buffer, "PNG", pnginfo=_png_text(record), compress_type=zlib.Z_RLE)
    elif image_format == "jpeg":
        exif, xmp = _exif_and_xmp(record, _SEGMENT)
        subsampling = "4:4:4" if quality >= 90 else "4:2:0"
        image.save(buffer, "JPEG", quality=quality, subsampling=subsampling, exif=exif, xmp=xmp)
    elif image_format == "webp":
        exif, xmp = _exif_and_xmp(record)
        image.save(buffer, "WEBP", quality=quality, exif=exif, xmp=xmp)
    else:
        raise ValueError(f"image_format: expected one of {FORMATS}, got {image_format!r}")
    return buffer.getvalue()


def with_record(data: bytes, record: Mapping[str, Any]) -> bytes:
    """The same picture with another record in it: the bytes that `encode_image` makes of its pixels and `record`.

    The compressed pixels are copied, not decoded. `data`: a whole file of `write_image`, in any of the FORMATS.
    ImageError, which cannot name the file, when it is anything else or the record is too long for JPEG.
    """
    image_format, chunks = split(data)
    for kinds, chunk in _record_chunks(record, image_format):
        places = [place for place, old in enumerate(chunks) if old.startswith(kinds)]
        if len(places) != 1:
            raise ImageError(
                f"not a picture as Darkroom wrote it: expected one {kinds[0][:24]!r} in this {image_format} file, "
                f"got {len(places)}; render it again"
            )
        chunks[places[0]] = chunk
    return join(image_format, chunks)


def without_record(data: bytes) -> bytes:
    """The same picture with nothing in it but pixels: no record, no parameters, no signature. `data` as above."""
    image_format, chunks = split(data)
    return join(image_format, [chunk for chunk in chunks if chunk.startswith(_PIXELS[image_format])])


def record_in(content: bytes, path: Path) -> dict[str, Any]:
    """The record that `write_image` put into a picture, by the file's bytes, which were found at `path`.

    ImageError if it is no whole picture, NoRecordError if it holds none.
    """
    with opened_whole(content, path, COMMON) as image:
        image.load()
        metadata = image.info
    text = _find_record(metadata)
    if text is None:
        raise NoRecordError(
            f"{path}: a picture without a Darkroom record; expected one in its metadata, "
            "which some programs remove on saving: show the file in results/ instead"
        )
    try:
        record = parse_json(text)
        if not isinstance(record, dict):
            raise ValueError(f"expected keys and values, got a {type(record).__name__}")
    except ValueError as error:
        raise ImageError(f"{path}: its Darkroom record is damaged: {error}; {AGAIN}") from error
    return record


def _record_chunks(record: Mapping[str, Any], image_format: str) -> list[tuple[tuple[bytes, ...], bytes]]:
    """The two chunks that hold the record in a file of this format, each after the beginnings that tell an older one.

    The kind of PNG's `parameters` depends on the prompt. XMP has to be ours; EXIF has nothing by which to know it.
    """
    if image_format == "png":
        parameters, whole = [kind + content for kind, content, _ in _png_text(record).chunks]
        return [((b"tEXtparameters\0", b"iTXtparameters\0"), parameters), ((b"iTXtdarkroom\0",), whole)]
    ours = _PACKET.partition("%s")[0].encode()
    if image_format == "jpeg":
        exif, xmp = _exif_and_xmp(record, _SEGMENT)
        return [((_APP1 + _EXIF,), _APP1 + exif), ((_APP1 + _XMP + ours,), _APP1 + _XMP + xmp)]
    exif, xmp = _exif_and_xmp(record)
    return [((b"EXIF",), b"EXIF" + exif.removeprefix(_EXIF)), ((b"XMP " + ours,), b"XMP " + xmp)]


def _png_text(record: Mapping[str, Any]) -> PngInfo:
    text = PngInfo()
    text.add_text("parameters", parameters_text(record))
    text.add_itxt("darkroom", json.dumps(record, ensure_ascii=False))
    return text


def _exif_and_xmp(record: Mapping[str, Any], limit: int | None = None) -> tuple[bytes, bytes]:
    """`limit`: the most bytes that either may have."""
    exif, xmp = _exif(parameters_text(record)), _xmp(record)
    if limit is not None and max(len(exif), len(xmp)) > limit:
        raise ImageError(
            f"request {record['request_id'][:12]}: its record does not fit into JPEG: {max(len(exif), len(xmp))} "
            f"bytes, at most {limit}; shorten the prompt or choose png or webp in conf/output"
        )
    return exif, xmp


def _exif(text: str) -> bytes:
    """An EXIF block with the text as UserComment, in the form that A1111 writes: UTF-16, big-endian."""
    exif = Image.Exif()
    exif.endian = ">"
    comment = b"UNICODE\0" + text.encode("utf-16-be")
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    return exif.tobytes()


def _xmp(record: Mapping[str, Any]) -> bytes:
    """An XMP packet with the record as JSON in ASCII, since XML cannot hold every character that a prompt can."""
    return (_PACKET % escape(json.dumps(record))).encode()


def _find_record(metadata: Mapping[Any, Any]) -> str | None:
    """The JSON of the record in a picture's metadata; programs that rewrite XMP may make an attribute of it.

    The packet may be a stranger's. Expat, which ElementTree parses with, opens no other file, and from version 2.4.1 on
    it ends entities that grow without bounds: tests/files/images/test_image_file.py.
    """
    if "darkroom" in metadata:
        return str(metadata["darkroom"])
    packet = metadata.get("xmp")
    if packet is None:
        return None
    name = f"{{{_NAMESPACE}}}record"
    try:
        root = ElementTree.fromstring(packet.strip(b"\0 \r\n"))
    except (ElementTree.ParseError, LookupError, ValueError):  # broken, or its encoding unknown: ours is not in it
        return None
    for node in root.iter():
        if node.tag == name:
            return node.text
        if name in node.attrib:
            return node.attrib[name]
    return None
