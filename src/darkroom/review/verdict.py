"""What a whole comparison comes to: how many pictures got which verdict, and whether it failed. Measures nothing."""

from collections import Counter
from collections.abc import Sequence

from darkroom.review.comparison import (
    BEFORE_ENCODING,
    DRIFTED,
    IDENTICAL,
    MISSING,
    VERDICTS,
    WITHIN_FLOOR,
    Comparison,
)

FAILURES = (DRIFTED, MISSING)
_COMPARED = (IDENTICAL, BEFORE_ENCODING, WITHIN_FLOOR, DRIFTED)


def failed(comparisons: Sequence[Comparison]) -> bool:
    """True when a picture drifted, a preview is missing, or nothing at all could be compared."""
    verdicts = {each.verdict for each in comparisons}
    return not verdicts.isdisjoint(FAILURES) or verdicts.isdisjoint(_COMPARED)


def summary(comparisons: Sequence[Comparison]) -> str:
    """One line, such as `40 previews: 38 identical, 2 drifted`; pictures without a preview are counted too."""
    counts = Counter(each.verdict for each in comparisons)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    if not any(counts[verdict] for verdict in _COMPARED):
        said = f"{said}; nothing could be compared" if said else "nothing could be compared"
    return f"{len(comparisons)} preview{'s' * (len(comparisons) != 1)}: {said}"
