"""Changes to files that have a form of their own: weights, pictures, tables. What is changed fits the rest, mostly."""

import struct
from collections.abc import Sequence
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from darkroom.errors import ImageError
from darkroom.files.container import join, split
from fuzzing.mutators import TEXTS, Mutator, bytes_changed, json_changed


def safetensors_changed(data: bytes, random: Random) -> bytes:
    """Header and length fit each other, mostly."""
    length = struct.unpack("<Q", data[:8])[0]
    header, tensors = data[8 : 8 + length], data[8 + length :]
    match random.randrange(6):
        case 0:
            return bytes_changed(data, random)
        case 1:
            tensors = bytes_changed(tensors, random)
        case _:
            header = json_changed(header, random)
    return struct.pack("<Q", len(header)) + header + tensors


_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_GGUF_KEYS = ("general.architecture", "general.alignment", "qwen3.rope.freq_base", "tokenizer.ggml.tokens")


def gguf_changed(data: bytes, random: Random) -> bytes:
    """Changed bytes, or a header made from scratch whose numbers and nestings are strange."""
    if random.random() < 0.6:
        return bytes_changed(data, random)
    keys = b"".join(_text(random.choice(_GGUF_KEYS)) + _gguf_value(random) for _ in range(random.randrange(3)))
    infos = b"".join(_gguf_info(random) for _ in range(random.randrange(3)))
    counts = [random.choice((0, 1, 2, 2**63, 10**6)) if random.random() < 0.3 else n for n in (infos.count(b"blk"), 1)]
    return (
        b"GGUF"
        + struct.pack("<IQQ", random.choice((2, 3, 3, 4)), *counts)
        + keys
        + infos
        + bytes(random.randrange(999))
    )


def _text(text: str) -> bytes:
    content = text.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(content)) + content


def _gguf_value(random: Random) -> bytes:
    kind = random.choice((*_SCALARS, 8, 8, 9, 9, 13))
    if kind == 8:
        return struct.pack("<I", kind) + _text(random.choice(TEXTS))
    if kind == 9:
        if random.random() < 0.3:
            return struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * random.choice((3, 200, 5000))
        return struct.pack("<IIQ", 9, random.choice((0, 8, 9, 12)), random.choice((0, 1, 2**40)))
    number = random.choice((0, 1, 2**64 - 1, 2**63)).to_bytes(8, "little")
    return struct.pack("<I", kind) + number[: struct.calcsize(f"<{_SCALARS.get(kind, 'B')}")]


def _gguf_info(random: Random) -> bytes:
    sides = [random.choice((0, 1, 32, 256, 2**32, 2**63)) for _ in range(random.choice((0, 1, 2, 2, 4, 5)))]
    shape = struct.pack(f"<I{len(sides)}Q", len(sides), *sides)
    return (
        _text("blk.0.attn_q.weight")
        + shape
        + struct.pack("<IQ", random.choice((0, 1, 2, 30, 99)), random.choice((0, 32, 2**62)))
    )


def picture_changed(*texts: tuple[bytes, Mutator]) -> Mutator:
    """Chunks of PNG, JPEG or WebP elsewhere, or others; those that begin so have a text that a mutator changes."""

    def changed(data: bytes, random: Random) -> bytes:
        try:
            image_format, chunks = split(data)
        except ImageError:
            return bytes_changed(data, random)
        if random.random() < 0.2:
            return bytes_changed(data, random)
        for _ in range(random.randint(1, 3)):
            _chunks_changed(chunks, texts, random)
        try:
            return join(image_format, chunks)
        except (ImageError, OverflowError):
            return bytes_changed(data, random)

    return changed


def _chunks_changed(chunks: list[bytes], texts: Sequence[tuple[bytes, Mutator]], random: Random) -> None:
    at = random.randrange(len(chunks)) if chunks else 0
    known = [
        (place, begins, change)
        for begins, change in texts
        for place, each in enumerate(chunks)
        if each.startswith(begins)
    ]
    match random.randrange(10):
        case 0 if len(chunks) > 1:
            del chunks[at]
        case 1 if chunks:
            chunks.insert(random.randrange(len(chunks)), chunks[at])
        case 2 if chunks:
            chunks[at] = chunks[at][:4] + bytes_changed(chunks[at][4:], random)
        case _ if known:
            place, begins, change = random.choice(known)
            chunks[place] = begins + change(chunks[place][len(begins) :], random)
        case _:
            chunks.insert(
                at,
                random.choice((b"iTXt", b"tEXt", b"zTXt", b"eXIf", b"acTL", b"PLTE", b"\xff\xe1Ex", b"EXIF"))
                + bytes(9),
            )


def table_changed(data: bytes, random: Random) -> bytes:
    """Bytes of Parquet, or its columns, values and metadata as somebody else may write them."""
    if random.random() < 0.5:
        return bytes_changed(data, random)
    table = pq.read_table(pa.BufferReader(data))
    at = random.randrange(table.num_columns)
    name, column = table.column_names[at], table.column(at)
    match random.randrange(6):
        case 0:
            table = table.drop_columns([name])
        case 1:
            table = table.set_column(
                at, random.choice((*TEXTS[:20], "path")).encode("utf-8", "replace").decode(), column
            )
        case 2:
            table = table.set_column(at, name, _values(table.num_rows, random))
        case 3:
            table = table.replace_schema_metadata(
                {random.choice(("format", "a")): random.choice((b"\xff", b"-1", b"9" * 5000, b"1"))}
            )
        case 4:
            table = pa.concat_tables([table] * random.choice((2, 3))) if random.random() < 0.8 else table.slice(0, 0)
        case _:
            if not pa.types.is_string(column.type):
                return bytes_changed(data, random)
            texts = [
                None if each is None else _cell(each, random).encode("utf-8", "replace").decode()
                for each in column.to_pylist()
            ]
            table = table.set_column(at, name, pa.array(texts, pa.string()))
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    return buffer.getvalue().to_pybytes()


def _cell(text: str, random: Random) -> str:
    return (
        json_changed(text.encode(), random).decode("utf-8", "replace")
        if random.random() < 0.5
        else random.choice(TEXTS[:15])
    )


def _values(rows: int, random: Random) -> pa.Array:
    kinds: Sequence[tuple[Any, Any]] = (
        (pa.int64(), 7),
        (pa.float32(), float("nan")),
        (pa.timestamp("ns"), 2**62),
        (pa.decimal128(38, 2), 1),
        (pa.list_(pa.int8()), [1]),
        (pa.large_string(), "x"),
        (pa.binary(), b"\xff"),
        (pa.null(), None),
        (pa.map_(pa.string(), pa.int8()), [("a", 1)]),
        (pa.dictionary(pa.int8(), pa.string()), "x"),
        (pa.string(), "\x1b[2J"),
    )
    kind, value = random.choice(kinds)
    return pa.array([value] * rows, kind)
