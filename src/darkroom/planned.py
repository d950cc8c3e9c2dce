"""What a run writes down before it renders: each model, and each combination, as conf/ asks and then with digests.

results/<experiment>/contents.json                              Contents, again when the run has ended
results/<experiment>/models/<model>.json                        PlannedModel, before its files are looked for
results/<experiment>/drafts/<model>/<lora>/<prompts>.json       PlannedCombination, before its files are read
results/<experiment>/requests/<model>/<lora>/<prompts>.json     the same, with the digests of all files
results/<experiment>/shards.json                                Shards, of a run on a cluster
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

from darkroom.errors import StoreError
from darkroom.files.atomic import read_json, write_json
from darkroom.names import Names
from darkroom.request.parts import BaseModel, Encoder
from darkroom.request.request import Request

_MISFITS = (KeyError, TypeError, ValueError, AttributeError, OverflowError)  # of values that are not what was written


class Contained(NamedTuple):
    """A combination in numbers."""

    names: Names
    images: int
    done: int  # of them, when this was written


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The combinations of an experiment, in the order of its matrix."""

    experiment: str
    source: str  # conf/experiment/<source>.yaml: another name where the experiment is a variant
    combinations: tuple[Contained, ...]
    fresh: bool = False  # the run renders everything anew, whatever the store has

    @property
    def pictures(self) -> int:
        return sum(each.images for each in self.combinations)

    def write(self, path: Path) -> None:
        combinations = [[*each.names, each.images, each.done] for each in self.combinations]
        said = {"experiment": self.experiment, "source": self.source, "fresh": self.fresh}
        write_json(path, {**said, "combinations": combinations})

    @classmethod
    def read(cls, path: Path) -> Self:
        """StoreError when it is missing, unreadable, or of another version of Darkroom."""
        values = read_json(path)
        try:
            name = values["experiment"]
            combinations = tuple(
                Contained(Names(model, lora, prompts), int(images), int(done))
                for model, lora, prompts, images, done in values["combinations"]
            )
            source, fresh = values.get("source", name), bool(values.get("fresh", False))
            return cls(experiment=name, source=source, combinations=combinations, fresh=fresh)
        except _MISFITS as error:
            raise _of_another_version(path, error) from error


@dataclass(frozen=True, kw_only=True)
class PlannedModel:
    """What conf/ says of a model, and what its pictures show in all."""

    name: str  # in conf/model/
    checkpoint: Mapping[str, Any]  # conf's section of that name
    base: BaseModel
    encoder: Encoder
    texts: tuple[str, ...]  # the distinct texts to encode, sorted
    prompt_embeds: tuple[str, ...]  # paths of what comes encoded, sorted

    def write(self, path: Path) -> None:
        write_json(path, asdict(self), durable=False)  # each run writes it again

    @classmethod
    def read(cls, path: Path) -> Self:
        """StoreError when it is missing, unreadable, or of another version of Darkroom."""
        values = read_json(path)
        try:
            parts = {"base": BaseModel(**values["base"]), "encoder": Encoder(**values["encoder"])}
            lists = {name: tuple(values[name]) for name in ("texts", "prompt_embeds")}
            return cls(**{**values, **parts, **lists})
        except _MISFITS as error:
            raise _of_another_version(path, error) from error


@dataclass(frozen=True, kw_only=True)
class PlannedCombination:
    """The pictures of one model, LoRA and prompt set."""

    asked: str  # a digest of what conf/ asks, and of the files that it names as they are
    lost: str  # a token that is another one after pictures were lost
    output: Mapping[str, Any]  # conf's section of that name: format, quality, save_latents, metadata, provenance
    lora_merge: str  # the model's key in conf/: auto leaves each picture's way of merging to the trainer's rule
    requests: tuple[Request, ...]

    def write(self, path: Path, *, with_ids: bool = False, durable: bool = True) -> None:
        """`with_ids`: beside each request its id, for people; `durable` as for `atomic`."""
        shown = [
            {**({"request_id": request.request_id} if with_ids else {}), **request.to_json()}
            for request in self.requests
        ]
        write_json(path, {**vars(self), "requests": shown}, durable=durable)

    @classmethod
    def read(cls, path: Path) -> Self:
        """StoreError when it is missing, unreadable, or of another version of Darkroom."""
        values = read_json(path)
        try:
            return cls(**{**values, "requests": tuple(map(Request.from_json, values["requests"]))})
        except _MISFITS as error:
            raise _of_another_version(path, error) from error


class Shard(NamedTuple):
    """Combinations of one base model that one job of a cluster renders, in the order of the matrix."""

    model: str
    number: str  # "003"
    members: tuple[Names, ...]
    images: int  # that are to be rendered
    seconds: float  # that they are expected to take


@dataclass(frozen=True, kw_only=True)
class Shards:
    """Which job renders which combination: fixed when a run begins, and read by each of its jobs.

    What is finished keeps the shard that it came from: to Snakemake that is one of its inputs.
    """

    run: str  # names the shards of this run; "" where it has none
    shards: tuple[Shard, ...] = ()
    before: Mapping[Names, str] = field(default_factory=dict)  # finished ones, by the file of an earlier run's shard
    sources: Mapping[str, str] = field(default_factory=dict)  # by model, `Workflow.source` as these were rendered

    def write(self, path: Path) -> None:
        write_json(
            path,
            {
                "run": self.run,
                "shards": [[*each[:2], [names[1:] for names in each.members], *each[3:]] for each in self.shards],
                "before": [[*names, shard] for names, shard in sorted(self.before.items())],
                "sources": self.sources,
            },
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Of no run where there is no such file; StoreError when it is unreadable, or of another version."""
        if not path.is_file():
            return cls(run="")
        values = read_json(path)
        try:
            shards = tuple(
                Shard(model, number, tuple(Names(model, *names) for names in members), int(images), float(seconds))
                for model, number, members, images, seconds in values["shards"]
            )
            before = {Names(*names): str(shard) for *names, shard in values["before"]}
            return cls(run=str(values["run"]), shards=shards, before=before, sources=dict(values["sources"]))
        except _MISFITS as error:
            raise _of_another_version(path, error) from error

    @cached_property
    def by_member(self) -> Mapping[Names, Shard]:
        """The shard of each combination that is to be rendered."""
        return {names: shard for shard in self.shards for names in shard.members}

    def shard(self, model: str, number: str) -> Shard:
        """StoreError where the run has no such shard."""
        for each in self.shards:
            if each[:2] == (model, number):
                return each
        raise StoreError(f"shard {number} of {model}: this run has none; its job is of a run that is over")


def _of_another_version(path: Path, error: Exception) -> StoreError:
    return StoreError(f"{path}: of another version of Darkroom ({error}); run Snakemake again")
