"""What pairwise votes tell: how often one won, with its interval, and which is ahead of all others, if one is.

Wilson's score interval for one proportion (Wilson 1927); Bradley and Terry's model (1952) where more than two were
compared, since not everybody met the same opponents. Fitted by Hunter's iteration (2004), with the curvature of its
likelihood at the maximum for the intervals.
"""

import math
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

_CONFIDENCE = 0.95
_PRIOR = 0.5  # wins, and as many losses, against one of strength 0: who has won all so far is not infinitely good
_ROUNDS, _SETTLED = 10_000, 1e-10

T = TypeVar("T", bound=Hashable)
Floats = npt.NDArray[np.float64]


def wilson(won: int, of: int, confidence: float = _CONFIDENCE) -> tuple[float, float]:
    """The interval of a proportion, both ends from 0 to 1; all of it where nothing is known."""
    if of == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, spread = won / of, z * z / of
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / of + spread / (4 * of))
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class Strengths:
    """Of Bradley and Terry's model: i beats j with the odds exp(`values[i]` - `values[j]`)."""

    values: Floats  # (n,)
    covariance: Floats  # (n, n)

    def difference(self, one: int, other: int) -> tuple[float, float]:
        """How much stronger one is than another, and the standard error of that."""
        c = self.covariance
        variance = c[one, one] + c[other, other] - 2 * c[one, other]
        return float(self.values[one] - self.values[other]), math.sqrt(max(0.0, float(variance)))


def bradley_terry(wins: Floats, prior: float = _PRIOR) -> Strengths:
    """`wins[i, j]`: how often i won against j. Without `prior` everybody must have won and lost against somebody."""
    met = wins + wins.T
    own = wins.sum(axis=1) + prior
    worth = np.ones(len(wins))  # exp of the strengths
    for _ in range(_ROUNDS):
        before = worth
        worth = own / ((met / (worth[:, None] + worth[None, :])).sum(axis=1) + 2 * prior / (worth + 1))
        if not prior:  # only differences are determined
            worth = worth / np.exp(np.log(worth).mean())
        if np.abs(np.log(worth / before)).max() < _SETTLED:
            break
    share = worth[:, None] / (worth[:, None] + worth[None, :])
    information = -met * share * (1 - share)
    np.fill_diagonal(information, 0.0)
    against_prior = 2 * prior * worth / (worth + 1) ** 2
    np.fill_diagonal(information, against_prior - information.sum(axis=1))
    return Strengths(np.log(worth), np.asarray(np.linalg.pinv(information, hermitian=True), dtype=np.float64))


@dataclass(frozen=True)
class Ranking(Generic[T]):
    """Who leads, and who may be as good all the same. `rivals` is empty where the leader is the best."""

    leader: T
    rivals: tuple[T, ...]  # the closest first


def ranked(
    votes: Iterable[tuple[T, T]], order: Sequence[T], eligible: Collection[T] | None = None
) -> Ranking[T] | None:
    """`votes`: (winner, loser) of those in `order`; None without any. Who has no vote is not in it.

    The leader is the best where it is ahead of every other at 95 %, all comparisons taken together. `eligible`: only
    these can lead or be as good; votes against the others count all the same.
    """
    counted = list(votes)
    seen = {each for vote in counted for each in vote}
    among = [each for each in order if each in seen]
    place = {each: number for number, each in enumerate(among)}
    wins = np.zeros((len(among), len(among)))
    for winner, loser in counted:
        wins[place[winner], place[loser]] += 1
    rivals = [number for each, number in place.items() if eligible is None or each in eligible]
    if not rivals:
        return None
    leader, *close = _of_two(wins) if len(among) == len(rivals) == 2 else _of_several(wins, rivals)
    return Ranking(among[leader], tuple(among[each] for each in close))


def _of_two(wins: Floats) -> list[int]:
    """The leader, and the other where it may be as good."""
    first = int(wins[1, 0] > wins[0, 1])
    low, _ = wilson(int(wins[first, 1 - first]), int(wins.sum()))
    return [first] if low > 0.5 else [first, 1 - first]


def _of_several(wins: Floats, eligible: Sequence[int]) -> list[int]:
    """The leader of the eligible, and those that may be as good, the closest first."""
    strengths = bradley_terry(wins)
    leader, *others = sorted(eligible, key=lambda number: -strengths.values[number])
    z = NormalDist().inv_cdf(1 - (1 - _CONFIDENCE) / 2 / max(1, len(others)))
    differences = {other: strengths.difference(leader, other) for other in others}
    return [leader, *(other for other, (difference, error) in differences.items() if difference <= z * error)]
