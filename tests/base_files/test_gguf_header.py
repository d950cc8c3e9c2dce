"""The header of a .gguf file that anybody may have made: no number in it makes reading long or large."""

import struct
from pathlib import Path

import pytest

from darkroom.base_files.gguf.header import read_gguf_header
from darkroom.errors import WeightFileError


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def header(key: str, value: bytes) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text(key) + value


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (header("a", struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 5_000), "metadata of kind 9"),
        (header("a", struct.pack("<IIQ", 9, 0, 2**60)), f"{2**60} bytes are expected at 49, the file ends at 49"),
        (header("a", struct.pack("<IQ", 8, 2**30)), "or one of more than 16000000 bytes"),
        (header("general.alignment", struct.pack("<II", 4, 0)), "alignment: expected a number of bytes, got 0"),
        (header("general.alignment", struct.pack("<Ii", 5, -3)), "alignment: expected a number of bytes, got -3"),
        (header("general.alignment", struct.pack("<I", 8) + text("32")), "alignment: expected a number of bytes"),
    ],
)
def test_what_no_program_writes_is_refused_with_a_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(WeightFileError, match=rf"truncated or damaged, copy it again \(.*{said}"):
        read_gguf_header(path)
