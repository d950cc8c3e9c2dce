"""Whether all pictures together lie farther from their previews than rounding explains, even if each is near enough.

Were the preview of a picture one more of its nudged repeats, its distance could be any of the k + 1 that there are. So
the sum over all pictures of how much farther the preview is than the repeats is held against every way to take one of
the k + 1 in its place, picture by picture: a permutation test, exact, and free of assumptions about how distances are
spread. Measured: other processors lie no farther than repeats do (docs/regress.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from darkroom.display import counted
from darkroom.review.pair.measures import Measures
from darkroom.review.pair.own_floor import REPEATS
from darkroom.review.regress.comparison import Comparison

ALPHA = 0.001  # how often a set of which nothing but the rounding is another fails, at most
FEWEST = next(count for count in range(1, 100) if (REPEATS + 1) ** -count < ALPHA)  # pictures that can tell at all

_EQUAL = 100.0  # dB, in place of the infinitely many of equal pixels
_MOST = 10.0  # dB of one picture that count
_PARTS = 4  # of a dB that are told apart


@dataclass(frozen=True)
class WholeSet:
    """Of each picture that is not identical and whose floor is known: how much farther each of its distances is.

    `excess`: dB that a distance is more than the mean of the picture's others, the preview's first, then its repeats'.
    """

    excess: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, comparisons: Sequence[Comparison]) -> "WholeSet":
        # Of those looked at closer as many repeats as of others: those were asked for since the preview is far.
        found = ((each.measures, each.repeats[:REPEATS]) for each in comparisons if each.psnr is not None)
        measured = [(measures, repeats) for measures, repeats in found if repeats]
        return cls(tuple(excess(measures, repeats) for measures, repeats in measured if measures))

    @property
    def pictures(self) -> int:
        return len(self.excess)

    @property
    def mean(self) -> float:
        """dB that previews are farther than repeats, on average."""
        return sum(own for own, *_ in self.excess) / self.pictures if self.pictures else 0.0

    @property
    def p(self) -> float:
        """How many of all ways to take one distance of each picture make a sum as large; 1 where there are none."""
        return _share_as_large(self.excess)

    @property
    def fails(self) -> bool:
        """Farther than rounding explains."""
        return self.p < ALPHA

    def __str__(self) -> str:
        """Such as `36 pictures, on average 0.84 dB farther from their previews than their repeats (p = 0.0002)`."""
        told = f"{abs(self.mean):.2f} dB {'farther from' if self.mean > 0 else 'nearer to'} their previews"
        pictures = counted(self.pictures, "picture")
        return f"{pictures}, on average {told} than their repeats (p = {self.p:.2g})"


def excess(measures: Measures, repeats: Sequence[Measures]) -> tuple[float, ...]:
    """dB that each distance of a picture is more than the mean of its others; the preview's first."""
    distances = [_EQUAL if psnr is None else psnr for psnr in (measures.psnr, *(each.psnr for each in repeats))]
    others = len(distances) - 1
    return tuple(max(-_MOST, min(_MOST, (sum(distances) - own) / others - own)) for own in distances)


@lru_cache(maxsize=8)  # page, summary, JUnit and exit status ask for that of the same set
def _share_as_large(excess: tuple[tuple[float, ...], ...]) -> float:
    parts = [[round(each * _PARTS) for each in picture] for picture in excess]
    ways = np.ones(1)  # by sum, from the least on: their share of all
    for picture in parts:
        shifts = [each - min(picture) for each in picture]
        ways = np.mean([np.pad(ways, (shift, max(shifts) - shift)) for shift in shifts], axis=0)
    return float(ways[sum(picture[0] - min(picture) for picture in parts) :].sum())
