"""What is heard of jobs that failed, as Snakemake's log tells of them."""

from pathlib import Path

import pytest
from snakemake.logging import LogEvent, logger

from darkroom.job_errors import JobError, begin_job, read_job_error
from darkroom.telling.executor import tell_failed_jobs

CANCELLED = (  # Snakemake's plugin for Slurm, 2.8
    "SLURM-job '17' failed, SLURM status is: 'CANCELLED'. Detailed failure reason unavailable (status command is not "
    "'sacct')."
)
EACH = "For further error details see the cluster/cloud log and the log files of the involved rule(s)."


@pytest.fixture(autouse=True)
def heard():
    before = list(logger.handlers)
    tell_failed_jobs()
    yield
    logger.handlers[:] = before


def fails(log: Path, said: str | None) -> None:
    values = {"event": LogEvent.JOB_ERROR, "rule_name": "shard", "rule_msg": said, "output": ["0.json"]}
    logger.error("", extra={**values, "log": [str(log), ".snakemake/slurm_logs/17.log"]})


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (None, "it was killed, perhaps for lack of memory"),  # on this machine
        (CANCELLED + EACH, "SLURM-job '17' failed, SLURM status is: 'CANCELLED'"),
        (EACH, "it was killed, perhaps for lack of memory"),  # cluster-generic's status command says no more
    ],
)
def test_a_job_that_ended_without_a_word_has_what_its_cluster_knows_of_that(
    tmp_path: Path, said: str | None, why: str
) -> None:
    log = tmp_path / "shard.log"
    begin_job(log)
    fails(log, said)
    left = read_job_error(log)
    assert left == JobError(f"ended without a word: {why}; {log} has what it said before")


def test_what_a_job_said_itself_stays(tmp_path: Path) -> None:
    log = tmp_path / "shard.log"
    JobError("holds NaN").write(log)
    fails(log, CANCELLED)
    assert read_job_error(log) == JobError("holds NaN")
    fails(tmp_path / "stopped.log", CANCELLED)
    assert read_job_error(tmp_path / "stopped.log") is None


def test_what_a_cluster_says_is_said_where_the_run_was_begun(capsys: pytest.CaptureFixture[str]) -> None:
    fails(Path("none.log"), CANCELLED)
    fails(Path("none.log"), None)
    assert capsys.readouterr().err.count("darkroom: shard: the job for 0.json failed: SLURM-job '17'") == 1
