"""Files of ours in whose place somebody may have put something else."""

import os
from pathlib import Path

import pytest

from darkroom.filesystem.direct import open_direct, why


@pytest.mark.parametrize("mode", ["wb", "ab", "a+b", "rb"])
def test_a_link_is_not_followed_and_its_target_stays(tmp_path: Path, mode: str) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    (tmp_path / "worker.log").symlink_to("thesis.txt")
    with pytest.raises(OSError, match="symbolic link") as caught:
        open_direct(tmp_path / "worker.log", mode)
    assert why(caught.value) == "it is a link; remove it"
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_nobody_waits_for_the_reader_of_a_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "worker.log")
    with pytest.raises(OSError, match="No such device"):
        open_direct(tmp_path / "worker.log", "ab")


def test_a_file_is_opened_as_by_open(tmp_path: Path) -> None:
    for word in ("one", "two"):
        with open_direct(tmp_path / "a.log", "a", encoding="utf-8") as file:
            file.write(word)
    assert (tmp_path / "a.log").read_text() == "onetwo"
