"""The shards of a run as Snakemake's rules look them up: fixed by the main process, read by those of its jobs.

Must stay quick to import, since Snakemake parses the Snakefile on every call.
"""

import math
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darkroom.errors import DarkroomError
from darkroom.names import Names
from darkroom.plan.estimate.past import past_pictures
from darkroom.plan.shards.compose import GUESS, Left, Size, compose, read_size, unknown_paces
from darkroom.plan.workflow import Workflow, stop
from darkroom.planned import Shard, Shards
from darkroom.store import RESULTS
from darkroom.telling.messages import say

_LEAST = 10  # minutes that a job is given, for the start of Snakemake and the load of a model
_SPARE = 1.5  # times what its pictures should take
_NONE = "(?!)"  # a pattern that nothing has


class ShardLookup:
    """What each rule looks up of a run's shards; a run without shards has nothing to look up."""

    def __init__(self, workflow: Workflow, shards: Shards) -> None:
        self._workflow, self._folder, self._shards = workflow, workflow.folder, shards

    @property
    def are_in_use(self) -> bool:
        return bool(self._shards.run)

    @property
    def pattern(self) -> str:
        """The wildcard {run}: files that earlier runs have left are made by nobody."""
        return re.escape(self._shards.run) or _NONE

    @property
    def retries(self) -> int | None:
        """Of render: none where all that is left to it is to fetch what a shard made; None: as the profile says."""
        return 0 if self.are_in_use else None

    def requests(self, model: str, lora: str, prompts: str) -> list[str]:
        """The file that a plan job makes of a combination; none of one whose shard does."""
        names = Names(model, lora, prompts)
        return [] if self.before(*names) else [str(self._folder.requests(names))]

    def before(self, model: str, lora: str, prompts: str) -> list[str]:
        """What a combination's records wait for: its shard, or none."""
        names = Names(model, lora, prompts)
        if shard := self._shards.by_member.get(names):
            return [str(self._file(shard))]
        return [self._shards.before[names]] if names in self._shards.before else []

    def staged(self, model: str, lora: str, prompts: str) -> str:
        """Where a combination's records are once its shard has rendered it; nothing is there of one that is in none."""
        return str(self._folder.staged(self._shards.run).records(Names(model, lora, prompts)))

    def priority(self, model: str, number: str) -> int:
        """That of the first combination in it."""
        return self._workflow.priority(*self._shard(model, number).members[0])

    def minutes(self, model: str, number: str, attempt: int) -> int:
        """The time limit of a shard's job."""
        seconds = self._shard(model, number).seconds
        return max(_LEAST, math.ceil(seconds * _SPARE / 60)) * attempt

    def start(self) -> None:
        """Write down what this run's jobs are to know, and remove what those of earlier runs have left."""
        if not (self.are_in_use or self._folder.shards.is_file()):
            return
        try:
            self._shards.write(self._folder.shards)
        except DarkroomError as error:
            stop(error)
        referred = {Path(file).parents[1].name for file in self._shards.before.values()}
        for folder, kept in (("staged", set[str]()), ("shards", referred)):
            for run in self._folder.root.joinpath(folder).glob("*"):
                if run.name not in kept | {self._shards.run}:
                    shutil.rmtree(run, ignore_errors=True)  # a job of a run that was killed may be writing there

    def _shard(self, model: str, number: str) -> Shard:
        try:
            return self._shards.shard(model, number)
        except DarkroomError as error:
            stop(error)

    def _file(self, shard: Shard) -> Path:
        return self._folder.shard(self._shards.run, shard.model, shard.number)


def open_shards(workflow: Workflow, overwritten: Mapping[str, Any], *, is_main: bool) -> ShardLookup:
    """The shards of a run; on any error print it and end Snakemake, status 1.

    `overwritten`: Snakemake's set-resources. A run has shards where these say how large one is to be, by `shard`.
    """
    try:
        known = Shards.read(workflow.folder.shards)
        if not is_main:
            return ShardLookup(workflow, known)
        return ShardLookup(workflow, _fixed(workflow, known, size_of(overwritten)))
    except DarkroomError as error:
        stop(error)


def size_of(overwritten: Mapping[str, Any]) -> Size | None:
    """How much a shard is to render, by Snakemake's set-resources; None where these say nothing of it."""
    said = overwritten.get("shard")
    return read_size(None if said is None else {name: resource.raw for name, resource in said.items()})


def left_of(workflow: Workflow) -> list[Left]:
    """What of an experiment is not finished, in the order of the matrix."""
    combinations = workflow.experiment.combinations
    return [Left(each, workflow.missing(each)) for each in combinations if not workflow.is_complete(each)]


def _fixed(workflow: Workflow, known: Shards, size: Size | None) -> Shards:
    """`known`: of the run before."""
    combinations = workflow.experiment.combinations
    left = left_of(workflow)
    before = _kept(workflow, known, {each.names for each in combinations} - {each.combination.names for each in left})
    sources = {model: workflow.source(model) for model in workflow.experiment.models} if size or before else {}
    if size is None:
        return Shards(run="", before=before, sources=sources)
    past = past_pictures(RESULTS.glob("*/manifest.parquet")) if left else ()
    for model in unknown_paces(left, past):
        say(f"{model}: never rendered here, so its jobs are cut and timed as if a picture took {GUESS:g} s")
    run = time.strftime("%Y%m%d-%H%M%S")
    return Shards(run=run, shards=compose(left, size, past), before=before, sources=sources)


def _kept(workflow: Workflow, known: Shards, complete: set[Names]) -> dict[Names, str]:
    """What is finished since an earlier run's shard has rendered it, from files that are the same now."""
    files = {
        **known.before,
        **{names: str(workflow.folder.shard(known.run, *shard[:2])) for names, shard in known.by_member.items()},
    }
    models = workflow.experiment.models
    same = {model for model, source in known.sources.items() if model in models and workflow.source(model) == source}
    return {
        names: file
        for names, file in files.items()
        if names in complete and names.model in same and Path(file).is_file()
    }
