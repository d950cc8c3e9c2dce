"""What results/ has of an experiment: which combinations are finished as conf/ asks now, and which lost a picture."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from darkroom.errors import StoreError
from darkroom.files.atomic import read_json
from darkroom.files.table_file import is_cut
from darkroom.files.weight_file import identity, sha256_of
from darkroom.names import Names
from darkroom.plan.experiment import Combination, Experiment
from darkroom.request.digest import digest_of
from darkroom.request.request import Request
from darkroom.store import ENDINGS, ExperimentFolder, Store
from darkroom.written import Seen, Written, seen_in

_APART = 1000  # ns


@dataclass(frozen=True)
class State:
    """How far one combination has come."""

    asked: str  # a digest: what conf/ asks of it, and the files that it names as they are now
    lost: str  # a token: another one when pictures of the finished combination are gone, the same until the next loss
    is_complete: bool  # the pictures in results/ are those that are asked for now
    there: int  # how many of them are


class DoneSoFar:
    """What an experiment has done so far. Looked at once for each combination, so that rules and drafts agree.

    `fresh`: nothing that was done before the run counts.
    """

    def __init__(self, experiment: Experiment, folder: ExperimentFolder, *, fresh: bool = False) -> None:
        self._experiment, self._folder, self.fresh = experiment, folder, fresh
        output = experiment.output
        self._endings = (ENDINGS[output.format], *(["safetensors"] if output.save_latents else []))
        self._known: dict[Names, State] = {}

    def of(self, combination: Combination) -> State:
        if combination.names not in self._known:
            state = self._look(combination, self._asked(combination))
            self._known[combination.names] = replace(state, is_complete=False, there=0) if self.fresh else state
        return self._known[combination.names]

    def is_complete_now(self, combination: Combination) -> bool:
        """Looked at again, for what was asked when the run began."""
        return self._look(combination, self.of(combination).asked).is_complete

    def _look(self, combination: Combination, asked: str) -> State:
        try:
            planned = read_json(self._folder.requests(combination.names))
            planned_for, lost = str(planned["asked"]), str(planned["lost"])
        except (StoreError, KeyError, TypeError):  # none yet, or of no use: it is planned anew
            return State(asked, "", is_complete=False, there=0)
        found = seen_in(self._folder.images(combination.names))
        files = [self._files_of(request) for request in combination.requests]
        there = sum(each <= found.keys() for each in files) if planned_for == asked else 0
        written = Written.read(self._folder.written(combination.names))
        if not self._has_records(combination.names, written):
            return State(asked, lost, is_complete=False, there=there)
        gone = frozenset().union(*files) - found.keys()
        gone |= self._damaged(combination.names, written, found)
        # The plan job copies the token from the draft into the requests file: one loss is planned once.
        lost = digest_of([lost, sorted(gone)])[:8] if gone else lost
        return State(asked, lost, is_complete=not gone and planned_for == asked, there=there)

    def _files_of(self, request: Request) -> frozenset[str]:
        return frozenset(f"{request.title.image_name}.{ending}" for ending in self._endings)

    def _has_records(self, names: Names, written: Written | None) -> bool:
        """False where Snakemake will write them: there are none, or the requests, or the base model, came later."""
        records, requests = self._folder.records(names), self._folder.requests(names)
        is_there = records.is_file() and self._folder.checkpoint(names.model).is_file()
        if is_there and written and written.requests == sha256_of(requests):
            return True
        return is_there and records.stat().st_mtime_ns >= requests.stat().st_mtime_ns

    def _damaged(self, names: Names, written: Written | None, found: Mapping[str, Seen]) -> frozenset[str]:
        """What is not as it was written, as far as a look shows it; also records of requests that are others by now."""
        records = self._folder.records(names)
        if written is None:
            return frozenset({records.name} if is_cut(records) else ())
        is_other = written.records != records.stat().st_size or written.requests != sha256_of(
            self._folder.requests(names)
        )
        return written.others(found) | frozenset({records.name} if is_other else ())

    def _asked(self, combination: Combination) -> str:
        names = combination.names
        files = [identity(path) for path in self._experiment.files(names)]
        return digest_of([self._experiment.digest(names), files])[:16]


def put_right(experiment: Experiment, done: DoneSoFar, folder: ExperimentFolder, store: Store) -> None:
    """Before a run begins, what Snakemake would be stuck at, or pass over: it goes by times and names alone."""
    # 1. Times that have not come yet, of a clock that was set back: nothing written now would be newer.
    _bring_back(file for file in _made_by_rules(folder) if file.is_file())
    # 2. What was cut off is made again.
    tables = [folder.manifest, folder.comparison]
    plans = [folder.requests(combination.names) for combination in experiment.combinations]
    lists = [path for model in experiment.models for path in (folder.checkpoint(model), folder.embeddings(model))]
    for path in (*filter(is_cut, tables), *filter(_is_no_json, (*plans, *lists))):
        path.unlink()
    # 3. Embeddings that were lost are encoded again, where there is something to render with them.
    for model in {c.names.model for c in experiment.combinations if not done.of(c).is_complete}:
        listed = folder.embeddings(model)
        if listed.is_file() and not all(map(Path.is_file, _embeddings(listed, store))):
            listed.unlink()


def _made_by_rules(folder: ExperimentFolder) -> Iterator[Path]:
    """The files of an experiment whose times Snakemake compares."""
    yield from folder.root.glob("*")
    for name in ("checkpoints", "embeddings", "requests", "records", "shards", "floor"):
        yield from folder.root.joinpath(name).rglob("*.*")


def _bring_back(files: Iterable[Path]) -> None:
    """Give files from the future a time that has come, just now, in the order that theirs had."""
    now = time.time_ns()
    ahead = [(path, when) for path in files if (when := path.stat().st_mtime_ns) > now]
    order = sorted({when for _, when in ahead})
    for path, when in ahead:
        then = now - (len(order) - order.index(when)) * _APART
        os.utime(path, ns=(then, then))


def _is_no_json(path: Path) -> bool:
    """Of a file that is there."""
    try:
        return path.is_file() and read_json(path) is None
    except StoreError:
        return True


def _embeddings(listed: Path, store: Store) -> Iterator[Path]:
    """Where those that a model's list has should be."""
    yield from map(store.embedding, read_json(listed)["embeddings"].values())
