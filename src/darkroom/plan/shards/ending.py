"""Ends a stopped run: cancels all its jobs on a cluster, and waits for nothing that cannot come.

Snakemake cancels those jobs only of which it is not asking the cluster at that moment, and ends after a whole pause
between two such looks, which is up to three minutes long.
"""

import asyncio
import time

from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

_MOMENT = 0.2  # seconds


def take_jobs_along() -> None:
    """From now on, in this process, whichever executor it uses."""
    RemoteExecutor.cancel = _cancel
    RemoteExecutor.sleep = _sleep


def _cancel(executor: RemoteExecutor) -> None:
    with executor.lock:
        known = list(executor.active_jobs)
    executor.cancel_jobs(known)
    executor.shutdown()  # the end of a look, after which all that go on are known
    if others := [job for job in executor.active_jobs if job not in known]:
        executor.cancel_jobs(others)


async def _sleep(executor: RemoteExecutor) -> None:
    until = time.monotonic() + executor.next_seconds_between_status_checks
    while executor.wait and (left := until - time.monotonic()) > 0:
        await asyncio.sleep(min(left, _MOMENT))
