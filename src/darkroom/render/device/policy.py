"""Decides which memory mode a model gets in this job, by what is needed of it and what happened to it before."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from darkroom.render.device.mode import (
    AUTO,
    IN_FILE,
    LADDER,
    Budget,
    Footprint,
    MemoryPlan,
    lower,
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
    merges: bool = False  # adapters into its weights, in this job or before

    @property
    def footprint(self) -> Footprint:
        return self.footprints[self.quantization]


@dataclass(frozen=True)
class RanOut:
    """Memory ran out with a model, in some job of this worker."""

    said: str  # the mode it was in, and what the allocator said
    highest: str  # the fastest mode it may have since; and no copy of weights

    @classmethod
    def of(cls, plan: MemoryPlan, said: str) -> Self:
        """A copy of weights is the first to go, then the mode."""
        return cls(said, plan.mode if has_copy(plan) else lower(plan.mode))


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
    return plan(need.footprints, need.quantization, budget, need.offload, merges=need.merges)


def covers(memory: MemoryPlan, need: Need) -> bool:
    """True where the plan was made under the same wish, for pictures at least as large, merged into if these are.

    The slower mode of larger pictures is kept: where sizes alternate, loading again each time costs more.
    """
    is_large_enough = need.footprint.peak(memory.mode) <= memory.estimate
    return is_large_enough and memory.wish == need.offload and (memory.copy is not None or not need.merges)


def has_room(budget: Budget, need: Need, memory: MemoryPlan) -> bool:
    """True where the computer's memory has room for this plan, and for a copy of weights where it has one."""
    is_copied_there = not has_copy(memory) or budget.place_of_copy(need.footprint, memory.mode) == memory.copy
    return is_copied_there and not budget.lacks_host(need.footprint, memory.mode)


def has_copy(memory: MemoryPlan) -> bool:
    """True where weights under merged adapters are to be copied."""
    return memory.copy not in (None, IN_FILE)
