"""What is written whole or not at all, linked and read back, and what is said where that cannot be."""

import os
from pathlib import Path

import pytest

from darkroom.errors import StoreError
from darkroom.files.atomic import atomic, link, read_json, write_json


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.txt"
    with atomic(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(UnicodeEncodeError), atomic(path) as temporary:
        temporary.write_text("half of it, then \udc80", encoding="utf-8")
    assert path.read_text() == "old"
    assert [file.name for file in path.parent.iterdir()] == ["x.txt"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/x\.json: cannot be written"):
        write_json(tmp_path / "file" / "x.json", {})


def test_json_that_is_missing_or_broken_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="--forcerun plan"):
        read_json(tmp_path / "none.json")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(StoreError, match=r"unreadable: .*; delete it"):
        read_json(tmp_path / "x.json")


def test_links_are_the_same_file_and_replace_what_is_there(tmp_path: Path) -> None:
    source, shown = tmp_path / "a.png", tmp_path / "images" / "000_1.png"
    source.write_text("picture")
    shown.parent.mkdir()
    shown.write_text("an older one")
    link(source, shown)
    link(source, shown)
    assert shown.samefile(source)


def test_what_the_disk_says_is_not_hidden_by_tidying_up(tmp_path: Path) -> None:
    """On a name as long as this, and where everything is read-only, removing the unwritten file fails as well."""
    path = tmp_path / f"{'x' * 300}.json"
    with pytest.raises(StoreError, match=r"x\.json: cannot be written: File name too long$"):
        write_json(path, 1)


def test_json_that_is_too_deep_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[" * 100_000)
    with pytest.raises(StoreError, match=r"a\.json: unreadable: .*; delete it and run Snakemake again"):
        read_json(path)


def test_nobody_reads_a_device_without_end() -> None:
    with pytest.raises(StoreError, match=r"^/dev/zero: expected a file, got a device$"):
        read_json(Path("/dev/zero"))


def test_a_name_that_no_file_can_have_is_missing() -> None:
    with pytest.raises(StoreError, match=r"^x+: missing; "):
        read_json(Path("x" * 300))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/dev/null", r"^/dev/null: cannot be written: expected a file, got a device$"),
        (".", r"^\.: cannot be written: expected a file, got a folder$"),
    ],
)
def test_a_file_takes_the_place_of_files_alone(path: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        write_json(Path(path), 1)


def test_a_file_takes_no_fifos_place(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(StoreError, match=r"a\.json: cannot be written: expected a file, got a FIFO$"):
        write_json(tmp_path / "a.json", 1)
