"""A .safetensors file from outside: read without torch, refused when it is not whole."""

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
        '{"__metadata__": []}',
        '{"__metadata__": {"step": 5}}',
    ],
)
def test_headers_of_another_form_are_refused(tmp_path: Path, header: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode())
    with pytest.raises(WeightFileError, match=r"not a \.safetensors file \(unreadable header"):
        read_header(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightFileError, match="no such file"):
        read_header(tmp_path / "none.safetensors")


def test_the_digest_is_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
