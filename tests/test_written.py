"""Whether a combination's files still are what its job left."""

from pathlib import Path

from darkroom.written import Written, seen_in


def test_a_look_names_the_files_that_are_others_by_now(tmp_path: Path) -> None:
    for name in ("whole.png", "cut.png", "gone.png"):
        (tmp_path / name).write_bytes(b"picture")
    written = Written("ab" * 32, 17, seen_in(tmp_path))
    assert written.others(seen_in(tmp_path)) == frozenset()
    (tmp_path / "cut.png").write_bytes(b"pic")
    (tmp_path / "gone.png").unlink()
    (tmp_path / "new.png").write_bytes(b"of nobody's job")
    assert written.others(seen_in(tmp_path)) == {"cut.png"}


def test_it_comes_back_as_it_was_written_and_what_is_cut_off_tells_nothing(tmp_path: Path) -> None:
    file, written = tmp_path / "a.json", Written("ab" * 32, 17, {"a.png": (7, 1_700_000_000_000_000_000)})
    written.write(file)
    assert Written.read(file) == written
    file.write_bytes(file.read_bytes()[:-9])
    assert Written.read(file) is None
    assert Written.read(tmp_path / "none.json") is None


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert seen_in(tmp_path / "none") == {}
