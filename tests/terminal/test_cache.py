"""A run where Snakemake could not begin."""

from pathlib import Path

import pytest

from darkroom.__main__ import main


def test_a_cache_that_snakemake_cannot_have_is_a_sentence_and_no_traceback_of_its(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file/cache"))
    assert main(["run", "demo", "-n"]) == 1
    assert capsys.readouterr().err == (
        f"darkroom: {tmp_path}/file/cache: cannot be written: {tmp_path}/file is not a folder that you may write to; "
        "Snakemake keeps its cache there: set XDG_CACHE_HOME to another folder\n"
    )
