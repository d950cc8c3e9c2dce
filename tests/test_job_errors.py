"""Why a job came to nothing is told where the disk is full, too: in the room that it had, or to the terminal."""

import resource
from pathlib import Path

import pytest

from darkroom.cli.entry import run
from darkroom.job_errors import JobError, begin_job, read_job_error
from darkroom.telling.messages import VARIABLE, JobFailed, read


def test_an_error_that_no_new_file_can_take_goes_into_the_one_that_is_there(tmp_path: Path) -> None:
    log = tmp_path / "render.log"
    begin_job(log)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # what is longer cannot be written, as on a full disk
    try:
        JobError("a.png: cannot be written: No space left on device", {"be518c30": "x" * 5000}).write(log)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read_job_error(log) == JobError("a.png: cannot be written: No space left on device")


def test_one_that_no_file_can_take_is_told_to_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "told.jsonl"
    monkeypatch.setenv(VARIABLE, str(told))
    assert run(["rule", "verdict", "compare.parquet", "--log", "/dev/null/verdict.log"]) == 1
    assert read(told.read_text()) == JobFailed("/dev/null/verdict.json: cannot be written: File exists")
