"""Which value of an axis a score speaks for, and how sure that is.

The mean over a value's pictures; its interval and whether another may be as good by bootstrap (Efron 1979): prompts
and seeds are drawn again, the same ones for every value, since it is on the same ones that values are compared.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 2000
FEWEST = 6  # scenes; on fewer, one value is ahead of another on all of them by chance more often than 1 in 20 times
CONFIDENCE = 0.95
_SEED = 1979  # of the draws: a page is the same whenever it is made


@dataclass(frozen=True)
class Best:
    """`low`, `high`: of the leader's mean, 95 %. `rivals`: whose mean may be as good, the closest first."""

    leader: str
    mean: float
    low: float
    high: float
    rivals: tuple[str, ...]
    scenes: int  # prompts with seeds that every value has a score of

    def __str__(self) -> str:
        said = f"{self.leader}: {self.mean:.3g} ({self.low:.3g} to {self.high:.3g})"
        if self.scenes < FEWEST:
            return f"{said}; {self.scenes} prompts and seeds are too few to tell"
        if not self.rivals:
            return f"{said}, ahead of all others"
        return f"{said}; {' and '.join(self.rivals[:3])} may be as good"


def best(scores: Mapping[str, Mapping[Hashable, float]], better: str) -> Best | None:
    """`scores`: by value, of each scene (a prompt with a seed). None for less than two values, or no shared scenes.

    `better`: "higher" or "lower".
    """
    values = list(scores)
    scenes = _shared(scores)
    if len(values) < 2 or not scenes:
        return None
    sign = -1.0 if better == "lower" else 1.0
    table = np.array([[scores[value][scene] for scene in scenes] for value in values])  # (values, scenes)
    means = table.mean(axis=1)
    order = np.argsort(-sign * means, kind="stable")
    leader = int(order[0])
    drawn = np.random.default_rng(_SEED).integers(len(scenes), size=(DRAWS, len(scenes)))
    again = table[:, drawn].mean(axis=2)  # (values, draws)
    ends = 100 * np.array([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    low, high = np.percentile(again[leader], ends)
    ahead = sign * (again[leader] - again)
    rivals = [int(n) for n in order[1:] if len(scenes) < FEWEST or np.percentile(ahead[n], 100 - ends[1]) <= 0]
    return Best(
        values[leader], float(means[leader]), float(low), float(high), tuple(values[n] for n in rivals), len(scenes)
    )


def _shared(scores: Mapping[str, Mapping[Hashable, float]]) -> Sequence[Hashable]:
    """Scenes that every value has, in a fixed order."""
    first, *others = scores.values()
    return [scene for scene in first if all(scene in each for each in others)]
