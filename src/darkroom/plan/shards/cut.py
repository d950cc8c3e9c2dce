"""Cuts a row of combinations into shards: each a stretch of the row, all about as long. Numbers in, numbers out."""

import itertools
import math
from collections.abc import Sequence

_OVER = 0.2  # of the size that a shard may be longer by, so that no short one is left over


def cut(costs: Sequence[float], size: float) -> list[range]:
    """Where each stretch lies in the row. `costs`: of the combinations, in the unit of `size`, which one should take.

    A combination is never cut: one that takes more than a stretch should is a stretch by itself.
    """
    ends = list(itertools.accumulate(costs))
    if not ends:
        return []
    count = max(1, math.ceil(ends[-1] / size - _OVER))
    places = [0, *(_nearest(ends, ends[-1] * each / count) for each in range(1, count)), len(costs)]
    return [range(first, last) for first, last in itertools.pairwise(sorted({*places}))]


def _nearest(ends: Sequence[float], cost: float) -> int:
    """After how many combinations about so much is done."""
    return min(range(len(ends)), key=lambda place: abs(ends[place] - cost)) + 1
