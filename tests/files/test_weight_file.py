"""A .safetensors file from outside: read without torch, refused when it is not whole."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from darkroom.errors import WeightFileError
from darkroom.files.weight_file import read_header, sha256_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "w.safetensors"
    save_file({"a": np.zeros((2, 3), np.float32), "b": np.zeros(4, np.float16)}, path, {"format": "pt"})
    return path


def test_shapes_dtypes_and_metadata(file: Path) -> None:
    header = read_header(file)
    assert header.shapes == {"a": (2, 3), "b": (4,)}
    assert header.dtypes == {"a": "F32", "b": "F16"}
    assert header.metadata == {"format": "pt"}


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (3, "not a .safetensors file (3 bytes, no valid header)"),
        (20, "truncated: the header alone has"),
        (-1, "truncated: expected"),
    ],
)
def test_a_cut_file_is_refused(file: Path, kept: int, said: str) -> None:
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(WeightFileError) as error:
        read_header(file)
    assert said in str(error.value)


def test_bytes_behind_the_last_tensor_are_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"?")
    with pytest.raises(WeightFileError, match="too long: expected"):
        read_header(file)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"PK\x03\x04\0\0\x08\x08archive/data.pkl",
            "it is a PyTorch pickle, which can run code when it is opened; convert",
        ),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "it is a PyTorch pickle, which can run code"),
        (b"GGUF\x03\0\0\0\x95\0\0\0", "it is a GGUF file; give it a name that ends in .gguf"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n",
            "it is a pointer of git-lfs, not the",
        ),
        (b"<!DOCTYPE html><title>Log in</title>", "it is a web page, such as one that asks for a login"),
        (b"\n<html lang=en>", "it is a web page"),
    ],
)
def test_renamed_files_are_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightFileError, match=rf"x\.safetensors: not a \.safetensors file: {said}"):
        read_header(path)


@pytest.mark.parametrize("content", [b"", b"\x10" + b"\0" * 7 + b"[1, 2, 3, 4, 5] "])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightFileError, match=r"not a \.safetensors file"):
        read_header(path)


@pytest.mark.parametrize(
    "header",
    [
        '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, "x"]}}',
        '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, Infinity]}}',
        '{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}',
        '{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}}',
        '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}',
        '{"a": {"dtype": "F32", "shape": [NaN], "data_offsets": [0, 4]}}',
        '{"a": {"dtype": "F32", "shape": [0.5], "data_offsets": [0, 2]}}',
        '{"a": {"dtype": "F32", "shape": [true], "data_offsets": [0, 4]}}',
        '{"a": {"dtype": 32, "shape": [1], "data_offsets": [0, 4]}}',
        '{"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}, "a": {}}',
        '{"\\ud800": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}',
        "[" * 100_000,
        '{"__metadata__": []}',
        '{"__metadata__": {"step": 5}}',
    ],
)
def test_headers_of_another_form_are_refused(tmp_path: Path, header: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode())
    with pytest.raises(WeightFileError, match=r"not a \.safetensors file \(unreadable header"):
        read_header(path)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ([0, 4], "b: begins at byte 0 of the tensors, expected 4: they overlap"),
        ([2, 6], "b: begins at byte 2 of the tensors, expected 4"),
        ([8, 12], "b: begins at byte 8 of the tensors, expected 4"),
    ],
)
def test_tensors_that_overlap_or_lie_apart_are_refused(tmp_path: Path, second: list[int], said: str) -> None:
    entries = {"a": [0, 4], "b": second}
    header = json.dumps({n: {"dtype": "F32", "shape": [1], "data_offsets": o} for n, o in entries.items()}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(12))
    with pytest.raises(WeightFileError, match=said):
        read_header(path)


def test_a_header_of_too_many_tensors_is_not_parsed(tmp_path: Path) -> None:
    entries = ",".join(f'"{n}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for n in range(50_001))
    header = f"{{{entries}}}".encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(WeightFileError, match="its header has 50001 tensors; at most 50000 are read"):
        read_header(path)


def test_a_header_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        file.write((84_000_000).to_bytes(8, "little"))
        file.truncate(84_000_009)  # all zero, and on no disk
    with pytest.raises(WeightFileError, match="its header has 84000000 bytes; at most 16000000 are"):
        read_header(path)


def test_nobody_waits_for_a_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.safetensors")
    with pytest.raises(WeightFileError, match=r"x\.safetensors: expected a file, got a FIFO"):
        read_header(tmp_path / "x.safetensors")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightFileError, match="no such file"):
        read_header(tmp_path / "none.safetensors")


def test_a_download_that_was_not_finished_is_named(tmp_path: Path) -> None:
    whole = tmp_path / "whole.safetensors"
    whole.write_bytes(b"\2" + bytes(7) + b"{}")
    read_header(whole)
    for name in ("gone.safetensors.part", "whole.safetensors.part", "whole.safetensors.aria2"):
        (tmp_path / name).touch()
    with pytest.raises(WeightFileError, match=r"gone.safetensors: no such file; gone.safetensors.part beside it is a "):
        read_header(tmp_path / "gone.safetensors")
    with pytest.raises(WeightFileError, match=r"whole.safetensors: not whole: whole.safetensors.aria2 says that its"):
        read_header(whole)


def test_the_digest_is_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_name_in_other_unicode_characters_and_a_link_to_nowhere_are_told_from_a_file_that_is_not_there(tmp_path):
    (tmp_path / "fu\u0308chse.safetensors").touch()  # as macOS has written it
    (tmp_path / "loop.safetensors").symlink_to("loop.safetensors")
    said = {}
    for name in ("f\u00fcchse", "loop", "gone"):
        with pytest.raises(WeightFileError) as refusal:
            read_header(tmp_path / f"{name}.safetensors")
        said[name] = str(refusal.value).partition(".safetensors: ")[2]
    assert said == {
        "f\u00fcchse": "no such file; one lies there whose name reads the same in other Unicode characters: "
        "copy its name from there",
        "loop": "a link that leads to no file",
        "gone": "no such file",
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty, as a download that was broken off; copy it again"),
        (bytes(5000), "it begins with zeros, as a download that was broken off; copy it again"),
        (
            b"Entry not found",
            "it is a text, 'Entry not found', as a server sends in place of a file; download it again",
        ),
        (b'{"error": "Unauthorized"}', 'it is a text, \'{"error": "Unauthorized"}\', as a server sends'),
        (b"<!-- a --><html>", "it is a web page"),
        (b"PK\x03\x04" + b"x" * 300, "it is an archive; unpack it, and name the file that was in it"),
        (b"\x1f\x8b\x08\0" + b"x" * 300, "it is an archive"),
        (b"PK\x03\x04" + b"\0" * 22 + b"archive/data.pkl" + b"x" * 300, "it is a PyTorch pickle"),
    ],
)
def test_what_a_file_is_that_was_downloaded_for_one(tmp_path, content, said):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(WeightFileError, match=re.escape(f"not a .safetensors file: {said}")):
        read_header(tmp_path / "a.safetensors")
