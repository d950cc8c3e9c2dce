"""How a run on a cluster ends when it is stopped: the executor is Snakemake's own, its cluster a stand-in."""

import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

from darkroom.plan.shards.ending import take_jobs_along


class Standing(RemoteExecutor):
    """Jobs are at work, and their cluster is slow to say so; then nobody would look again for three minutes."""

    def __init__(self, folder: Path, jobs: list[SubmittedJobInfo]) -> None:
        at_once: Any = SimpleNamespace(common_settings=SimpleNamespace(init_seconds_before_status_checks=0))
        settings = SimpleNamespace(seconds_between_status_checks=180, immediate_submit=False)
        self.workflow = SimpleNamespace(executor_plugin=at_once, remote_execution_settings=settings)
        self._next_seconds_between_status_checks, self._tmpdir = None, str(folder)
        self.is_asked, self.answers, self.cancelled = threading.Event(), threading.Event(), list[str | None]()
        self.active_jobs, self.lock, self.wait = jobs, threading.Lock(), True
        self.wait_thread = threading.Thread(target=self._wait_thread)
        self.wait_thread.start()

    def run_job(self, job: Any) -> None:
        raise NotImplementedError

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncIterator[SubmittedJobInfo]:
        self.is_asked.set()
        self.answers.wait()
        for job in active_jobs:
            yield job

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        self.cancelled += [job.external_jobid for job in active_jobs]
        self.answers.set()


def submitted(name: str) -> SubmittedJobInfo:
    job: Any = SimpleNamespace()
    return SubmittedJobInfo(job, external_jobid=name)


def test_jobs_that_the_cluster_is_being_asked_about_are_cancelled_too_and_no_pause_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cancel", "sleep"):
        monkeypatch.setattr(RemoteExecutor, name, getattr(RemoteExecutor, name))  # afterwards as before
    take_jobs_along()
    executor = Standing(tmp_path, [submitted("17"), submitted("18")])
    executor.is_asked.wait()
    executor.active_jobs.append(submitted("19"))  # meanwhile
    executor.cancel()
    assert executor.cancelled == ["19", "17", "18"]
