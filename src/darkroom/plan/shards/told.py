"""What the jobs of a cluster's profile take, as people read it before a run."""

from collections.abc import Mapping
from typing import Any

from darkroom.display import sized
from darkroom.errors import ConfigError
from darkroom.plan.estimate.past import past_pictures
from darkroom.plan.experiment import Experiment
from darkroom.plan.shards.compose import GUESS, compose, unknown_paces
from darkroom.plan.shards.lookup import left_of, size_of
from darkroom.plan.shards.outlook import outlook
from darkroom.plan.shards.resources import asked_memory, read_resources
from darkroom.plan.workflow import Workflow
from darkroom.store import RESULTS


def told(experiment: Experiment, profile: Any, at_once: int | None) -> list[str]:
    """`profile`: Snakemake's options in it; `at_once`: jobs, by default as many as it lets run.

    ConfigError for a profile that makes no jobs of many combinations.
    """
    if at_once is not None and at_once < 1:
        raise ConfigError(f"--jobs: expected a whole number from 1, got {at_once}")
    overwritten = read_resources(profile.get("set-resources")) if isinstance(profile, Mapping) else {}
    size = size_of(overwritten)
    if size is None:
        raise ConfigError("--profile: expected set-resources: shard: in it; without, each combination is a job")
    workflow = Workflow(experiment)
    left, past = left_of(workflow), past_pictures(RESULTS.glob("*/manifest.parquet"))
    unknown = [f"{model}: as if a picture took {GUESS:g} s" for model in unknown_paces(left, past)]
    shards = compose(left, size, past)
    asked = [_memory(workflow, model, overwritten) for model in dict.fromkeys(shard.model for shard in shards)]
    return [*outlook(shards, at_once or _jobs(profile, len(shards))).lines(), *asked, *unknown]


def _memory(workflow: Workflow, model: str, overwritten: Mapping[str, Any]) -> str:
    """What its jobs ask of a machine's memory: what the profile says of them, else what follows from the model."""
    encodes, renders = (
        asked_memory(rule, overwritten) or sized(workflow.memory(model, 1, encodes=rule == "encode") * 10**6)
        for rule in ("encode", "shard")
    )
    return f"{model}: a job that renders asks for {renders} of a machine's memory, one that encodes for {encodes}"


def _jobs(profile: Mapping[str, Any], shards: int) -> int:
    """That a profile lets run at once."""
    said = profile.get("jobs", 1)
    if said == "unlimited":
        return max(1, shards)
    if not isinstance(said, int) or said < 1:
        raise ConfigError(f"--profile: jobs: expected a whole number from 1, or unlimited, got {said!r}")
    return said
