"""A run at work as a table: how far it is, and what each of its workers is doing, on whichever machine.

Seen in the files that jobs and workers leave below results/, so that it is the same by ssh, and disturbs nothing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from darkroom.display import counted, lasting, printable, sized, table
from darkroom.errors import StoreError
from darkroom.filesystem.lock import is_held
from darkroom.review.progress import RunProgress, Watch
from darkroom.store import ExperimentFolder
from darkroom.telling.worker_state import WorkerState, worker_states

_HEADS = ("worker", "does", "model", "LoRA", "picture", "step", "a minute", "memory")


class Status:
    """Of one experiment, looked at again and again."""

    def __init__(self, folder: ExperimentFolder) -> None:
        """StoreError where nothing was ever asked for under this name."""
        if not folder.contents.is_file():
            raise StoreError(f"{folder.root}: no run of it has begun; `darkroom run {folder.root.name}` begins one")
        self._folder, self._watch = folder, Watch(folder)

    @property
    def is_at_work(self) -> bool:
        """Whether a Snakemake of this machine, or of one whose locks are seen here, is."""
        return is_held(self._folder.lock)

    def line(self) -> str:
        """demo: 12 of 60 pictures · 34 a minute by 3 workers · 0:01:25 left, until 18:05"""
        return _line(self._folder.root.name, self._watch.look(), self._workers(), is_at_work=self.is_at_work)

    def lines(self) -> list[str]:
        """That, with a row for each worker."""
        workers = self._workers()
        rows = table([_HEADS, *map(_row, workers)], right=(5, 6, 7)) if workers else ["no worker is at work"]
        return [self.line(), *map(printable, rows)]

    def _workers(self) -> list[WorkerState]:
        return list(worker_states(self._folder.worker_logs))


def _line(name: str, seen: RunProgress, workers: Sequence[WorkerState], *, is_at_work: bool) -> str:
    in_hand = sum(worker.doing == "rendering" for worker in workers)
    left = seen.total - len(seen.done) - len(seen.failed)
    stopped = "stopped at " if left and not is_at_work else ""
    parts = [f"{name}: {stopped}{len(seen.done)} of {counted(seen.total, 'picture')}"]
    parts += [f"{len(seen.failed)} failed"] if seen.failed else []
    if not is_at_work:
        return " · ".join([*parts, "no run is at work"])
    parts += [f"{left - in_hand} wait"] if left > in_hand else []
    if seen.seconds_each:
        parts.append(f"{60 / seen.seconds_each:.3g} a minute by {counted(len(workers), 'worker')}")
    if seen.seconds_left is not None:
        until = datetime.now().astimezone() + timedelta(seconds=seen.seconds_left)
        parts.append(f"{lasting(seen.seconds_left)} left, until {until:%H:%M}")
    return " · ".join(parts)


def _row(worker: WorkerState) -> tuple[str, ...]:
    silent = worker.silent
    does = f"silent for {lasting(silent)}" if silent else worker.doing
    step = f"{worker.step} of {worker.steps}" if worker.steps else ""
    pace = f"{60 / worker.seconds_each:.3g}" if worker.seconds_each else ""
    return worker.name, does, worker.model, worker.lora, worker.picture, step, pace, sized(worker.memory)
