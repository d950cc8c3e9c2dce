"""Composes the shards of a run: what is unfinished of each base model, in the order of the matrix."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from darkroom.errors import ConfigError
from darkroom.plan.estimate.past import CostClass, PastPicture, alike, seconds_for_work, work_of
from darkroom.plan.experiment import Combination
from darkroom.plan.shards.cut import cut
from darkroom.planned import Shard

GUESS = 4.0  # seconds a picture, of a model that results/ remembers none of
_MINUTES = 20.0


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much one shard is to render. `images` goes before `minutes`."""

    images: int | None = None
    minutes: float = _MINUTES


@dataclass(frozen=True)
class Left:
    """A combination that is not finished."""

    combination: Combination
    images: int  # of it that are not there


def read_size(said: Any) -> Size | None:
    """What a profile's `set-resources: shard:` asks; None where it has no such line.

    ConfigError where that is no mapping, or `images` or `minutes` no number above 0.
    """
    if said is None:
        return None
    if not isinstance(said, Mapping):
        raise ConfigError(f"set-resources: shard: expected images or minutes in it, got {said!r}")
    asked = {name: said[name] for name in ("images", "minutes") if name in said}
    for name, value in asked.items():
        if not isinstance(value, int) or value < 1:
            raise ConfigError(f"set-resources: shard: {name}: expected a whole number from 1, got {value!r}")
    return Size(**asked)


def compose(left: Sequence[Left], size: Size, past: Sequence[PastPicture]) -> tuple[Shard, ...]:
    """`left`: in the order of the matrix; a shard's own LoRAs are together as they are there."""
    models = dict.fromkeys(each.combination.names.model for each in left)
    return tuple(
        shard
        for model in models
        for shard in _of_model(model, [each for each in left if each.combination.names.model == model], size, past)
    )


def unknown_paces(left: Sequence[Left], past: Sequence[PastPicture]) -> list[str]:
    """The models of which nobody knows how long a picture takes."""
    classes = {each.combination.names.model: CostClass.of(each.combination.requests[0]) for each in left}
    return [model for model, each in classes.items() if not alike(past, each)]


def _of_model(model: str, left: Sequence[Left], size: Size, past: Sequence[PastPicture]) -> Iterator[Shard]:
    seconds = _seconds(left, alike(past, CostClass.of(left[0].combination.requests[0])))
    if size.images is None:
        stretches = cut(seconds, size.minutes * 60)
    else:
        stretches = cut([each.images for each in left], size.images)
    for number, stretch in enumerate(stretches):
        members = [left[place] for place in stretch]
        yield Shard(
            model=model,
            number=f"{number:03d}",
            members=tuple(each.combination.names for each in members),
            images=sum(each.images for each in members),
            seconds=round(sum(seconds[place] for place in stretch), 1),
        )


def _seconds(left: Sequence[Left], there: Sequence[PastPicture]) -> list[float]:
    """That each combination takes, by the pictures of its model that results/ remembers."""
    if not there:
        return [GUESS * each.images for each in left]
    pace = seconds_for_work(there)
    return [pace * work_of(each.combination.requests[0]) * each.images for each in left]
