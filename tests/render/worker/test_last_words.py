"""What is told of a worker that died: the end of its log."""

from pathlib import Path

from darkroom.render.worker.client import last_words


def test_the_last_line_that_is_not_empty_comes_first(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    log.write_text("Traceback (most recent call last):\n  …\nNotADirectoryError: afile/x\n\n  \n")
    assert last_words(log) == (
        "  NotADirectoryError: afile/x\nbefore that:\n  Traceback (most recent call last):\n    …"
    )


def test_of_a_log_that_says_nothing_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "worker.log").write_text("\n\n")
    assert last_words(tmp_path / "worker.log") == "  (none)"
    assert last_words(tmp_path / "other.log") == "  (none)"
