"""Which memory mode a model is to have in this job: what is needed of it, and what happened to it before, decide."""

from collections.abc import Mapping
from dataclasses import dataclass

from darkroom.render.device.mode import (
    AUTO,
    LADDER,
    Budget,
    Footprint,
    MemoryPlan,
    mode_of,
    plan,
    plan_after_failure,
)


@dataclass(frozen=True)
class Need:
    """What a job needs of one model."""

    footprints: Mapping[str | None, Footprint]  # by quantisation, for the job's largest picture
    quantization: str | None
    offload: str  # of mode.WISHES

    @property
    def footprint(self) -> Footprint:
        return self.footprints[self.quantization]


@dataclass(frozen=True)
class RanOut:
    """Memory ran out with a model, in some job of this worker."""

    said: str  # the mode it was in, and what the allocator said
    highest: str  # the fastest mode it may have since


def first_mode(offload: str, ran_out: RanOut | None) -> str:
    """The fastest mode that may be chosen: the one that is wished for, but none in which memory ran out."""
    wanted = mode_of(offload)
    fastest = LADDER[0] if wanted == AUTO else wanted
    return max(fastest, ran_out.highest, key=LADDER.index) if ran_out else fastest


def choose(need: Need, budget: Budget, ran_out: RanOut | None) -> MemoryPlan:
    """The mode for what is needed; once memory ran out, estimates count no more. DeviceMemoryError if nothing fits."""
    if ran_out:
        mode = first_mode(need.offload, ran_out)
        return plan_after_failure(need.footprint, budget, need.offload, mode, ran_out.said)
    return plan(need.footprints, need.quantization, budget, need.offload)


def covers(memory: MemoryPlan, need: Need) -> bool:
    """True where the plan was made under the same wish, for pictures at least as large.

    The slower mode of larger pictures is kept: where sizes alternate, loading again each time costs more.
    """
    return need.footprint.peak(memory.mode) <= memory.estimate and memory.wish == need.offload
