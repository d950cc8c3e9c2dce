"""Scores on the page: a hidden axis each, by which pictures are sorted and found; what they say of steps, in a line."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

from darkroom.record.rows import Record, Row
from darkroom.review.page.axes import Axis
from darkroom.review.scores.best import Best, best
from darkroom.scoring.table import Score

HIDDEN = "hidden"
_CANDIDATES = ("step", "lora", "model")  # the first of these axes that a page has is what is chosen by a score
_DIGITS = 4


def with_scores(axes: Sequence[Axis], rows: Sequence[Row], scores: Sequence[Score]) -> tuple[Axis, ...]:
    """The axes, and one for each score, hidden: the highest first, last what has none."""
    return (*axes, *(_axis(score.name, values_of(score, rows)) for score in scores))


def scores_of(rows: Sequence[Row], scores: Sequence[Score]) -> list[dict[str, Any]]:
    """For the page's script: by score its name, what is better, and a number or None for each row."""
    return [{"name": each.name, "better": each.better, "values": values_of(each, rows)} for each in scores]


def values_of(score: Score, rows: Sequence[Row]) -> list[float | None]:
    return [score.values.get(row.request_id) if isinstance(row, Record) else None for row in rows]


def told(axes: Sequence[Axis], rows: Sequence[Row], scores: Sequence[Score]) -> list[tuple[str, str]]:
    """A line for each score that has a better end: which step it speaks for, and how sure that is."""
    named = {axis.name: axis for axis in axes}
    candidate = next((named[name] for name in _CANDIDATES if name in named), None)
    if candidate is None:
        return []
    lines = []
    for score in scores:
        found = best_of(candidate, axes, values_of(score, rows), score.better) if score.better else None
        if found:
            lines.append((f"best {candidate.title} by {score.name}", str(found)))
    return lines


def best_of(candidate: Axis, axes: Sequence[Axis], values: Sequence[float | None], better: str) -> Best | None:
    """Pictures are of one scene where all other axes say the same."""
    others = [axis.codes for axis in axes if axis.name != candidate.name]
    by_value: dict[str, dict[Hashable, float]] = defaultdict(dict)
    for i, value in enumerate(values):
        if value is not None:
            by_value[candidate.values[candidate.codes[i]]][tuple(codes[i] for codes in others)] = value
    return best(by_value, better)


def _axis(name: str, values: Sequence[float | None]) -> Axis:
    rounded = [None if value is None else float(f"{value:.{_DIGITS}g}") for value in values]
    distinct = sorted({value for value in rounded if value is not None}, reverse=True)
    position: dict[float | None, int] = {value: code for code, value in enumerate(distinct)}
    shown = [f"{value:g}" for value in distinct]
    if None in rounded:
        position[None] = len(shown)
        shown.append("")
    return Axis(name, name, tuple(shown), tuple(position[value] for value in rounded), HIDDEN)
