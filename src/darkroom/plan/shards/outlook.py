"""What a run in shards takes: jobs, loads, hours of GPUs, and what decides how long it is. Numbers only."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from darkroom.display import counted, lasting
from darkroom.planned import Shard

# Seconds: of a job until its worker loads and of fetching a combination where Snakemake was begun, both as measured
# (benchmarks/cluster.py); of a load, a guess.
START, LOAD, HEAD = 10.0, 20.0, 0.03


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """Times in seconds of wall time, without those in the queue."""

    shards: int
    encodes: int
    at_once: int  # jobs, at most
    in_all: float  # of all jobs, one after the other
    longest: float  # of one job
    head: float  # where Snakemake was begun
    wall: float  # of the run

    @property
    def bottleneck(self) -> str:
        """What decides how long the run is."""
        if self.head >= self.wall:
            return f"the process that began the run: it fetches for {lasting(self.head)}"
        if self.shards <= self.at_once:
            return f"the longest job, {lasting(self.longest)}; more GPUs help only with smaller shards"
        return f"the GPUs; the process that began the run works for {lasting(self.head)} of it"

    def lines(self) -> list[str]:
        """As people read it."""
        jobs = f"{counted(self.shards, 'job')} to render, each loads a base model; {self.encodes} to encode"
        hours = f"{lasting(self.in_all)} of GPUs; {lasting(self.wall)} with {self.at_once} at once, beside the queue"
        return [jobs, hours, f"what decides: {self.bottleneck}"]


def outlook(shards: Sequence[Shard], at_once: int, load: float | None = None) -> Outlook:
    """`at_once`: jobs that run beside one another; `load`: seconds that a base model takes, where it is known."""
    each = [START + (LOAD if load is None else load) + shard.seconds for shard in shards]
    free_at = [0.0] * max(1, min(at_once, len(shards)))  # when each GPU is free
    for seconds in each:
        heapq.heapreplace(free_at, free_at[0] + seconds)
    head = HEAD * sum(len(shard.members) for shard in shards)
    return Outlook(
        shards=len(shards),
        encodes=len({shard.model for shard in shards}),
        at_once=at_once,
        in_all=sum(each),
        longest=max(each, default=0.0),
        head=head,
        wall=max(*free_at, head),
    )
