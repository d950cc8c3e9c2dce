"""Comparisons as people read them, worst first: names of pairs, and each measure beside its limit, as texts."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from darkroom.review.pair.measures import MEASURES, PSNR, Measure
from darkroom.review.pair.own_floor import allowed
from darkroom.review.regress.comparison import Comparison
from darkroom.review.regress.verdicts import VERDICTS


def worst_first(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """By verdict, then by FLIP; one that was judged without measures comes before the others of its verdict."""
    rank = {name: number for number, name in enumerate(reversed(VERDICTS))}

    def key(comparison: Comparison) -> tuple[Any, ...]:
        unmeasured = float("inf") if VERDICTS[comparison.verdict].is_judged else -1.0
        flip = unmeasured if comparison.flip is None else comparison.flip
        place = comparison.key, comparison.step or 0, comparison.preview_path or ""
        return rank[comparison.verdict], -flip, *place

    return sorted(comparisons, key=key)


def names(comparisons: Sequence[Comparison]) -> list[str]:
    """What the page's address says of each pair: the same in the next run, as far as the pair is."""
    seen: Counter[str] = Counter()
    found = []
    for comparison in comparisons:
        picture = comparison.image_name or f"{comparison.index:04d}{'' if comparison.axes == '{}' else comparison.axes}"
        name = "/".join((comparison.model, comparison.lora, comparison.prompts, picture))
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}~{seen[name]}")
    return found


def measures(comparison: Comparison) -> list[dict[str, Any]]:
    """Each measure that was taken: name, value, threshold, as texts, and whether it holds (None without threshold).

    Last of all the own floor, where it is asked for and known.
    """
    taken, held_against = comparison.measures, comparison.held_against
    if taken is None:
        return []
    asked = held_against.asked if held_against else {}
    rows = [_measured(measure, getattr(taken, measure.name), asked.get(measure.name)) for measure in MEASURES]
    if comparison.repeats and held_against and held_against.own_floor is not None:
        rows.append(_held_against_own_floor(comparison, held_against.own_floor))
    return rows


def _measured(measure: Measure, value: float | None, limit: float | None) -> dict[str, Any]:
    most = "at most" if measure.is_distance else "at least"
    return {
        "name": measure.label,
        "value": measure.text(value),
        "threshold": "" if limit is None else f"{most} {limit:g}{measure.unit}",
        "held": None if limit is None else measure.keeps(value, limit),
    }


def _held_against_own_floor(comparison: Comparison, margin: float) -> dict[str, Any]:
    least = allowed(comparison.repeats, margin)
    return {
        "name": "own floor",
        "value": "equal pixels" if least is None else PSNR.text(least),
        "threshold": "PSNR no less",
        "held": least is not None and comparison.psnr is not None and comparison.psnr >= least,
    }


def own_floor(comparison: Comparison) -> list[list[str]]:
    """A row of texts for each nudged repeat: its number, and how far it is from the render in each measure."""
    return [
        [str(number), *(measure.text(getattr(each, measure.name)).removesuffix(measure.unit) for measure in MEASURES)]
        for number, each in enumerate(comparison.repeats, 1)
    ]
