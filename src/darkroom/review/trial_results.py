"""`darkroom explain --try`: which of the rendered trials comes closest to the preview, as a sentence and a table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from darkroom.errors import ImageError
from darkroom.previews import TRAINER, Preview
from darkroom.review.pair.measures import psnr
from darkroom.review.pair.picture_file import ENCODINGS, PictureFile, as_encoded, read_picture
from darkroom.trials import Outcome, Outcomes

_GAIN = 1.0  # dB that a factor has to bring before it is named
_TIE = 0.5  # dB within which factors are equally close
_EQUAL = "identical"


@dataclass(frozen=True)
class MeasuredTrial:
    """A trial's picture beside the preview. `psnr`: dB, infinite for equal pixels; `mean_abs`: levels of 255."""

    outcome: Outcome
    psnr: float
    mean_abs: float

    @property
    def shown(self) -> str:
        return _EQUAL if math.isinf(self.psnr) else f"{self.psnr:.2f} dB"


def trial_results(outcomes: Outcomes, preview: Preview) -> list[str]:
    """Lines of text: what follows from the trials, then all of them, closest first; ImageError without the preview."""
    stored = read_picture(Path(preview.path or ""))
    measured, unlike = [], list(outcomes.not_tried)
    for outcome in outcomes.outcomes:
        found = _beside(outcome, stored, preview)
        if isinstance(found, MeasuredTrial):
            measured.append(found)
        else:
            unlike.append(f"{outcome.factor}: {found}")
    baseline = next((each for each in measured if each.outcome.is_baseline), None)
    others = sorted((each for each in measured if each is not baseline), key=lambda each: -each.psnr)
    lines = [*conclusion(baseline, others), "", f"tried against {preview.path}, as it is and then by closeness:"]
    lines += [f"  {'PSNR':>12}  {'mean |Δ|':>8}  what was done otherwise"]
    lines += [
        f"  {each.shown:>12}  {each.mean_abs:8.3f}  {each.outcome.factor}"
        for each in ([baseline] if baseline else []) + others
    ]
    return lines + (["not tried, or not comparable:", *(f"  {said}" for said in unlike)] if unlike else [])


def conclusion(baseline: MeasuredTrial | None, others: Sequence[MeasuredTrial]) -> list[str]:
    """What brings it closest, and how to have it so; or that nothing or several do. `others`: closest first.

    `baseline`: the picture as it is; where it has another size in conf/, that comes first in what is said.
    """
    if baseline is None:
        if not others:
            return ["Nothing that could be tried can be compared with the preview."]
        best = others[0]
        return [
            f"The picture as it is was not measured (see below), so no gain can be told; the nearest, "
            f"{best.outcome.factor}: {best.shown}."
        ]
    if baseline.outcome.change:
        return [*_resized(baseline), *([] if math.isinf(baseline.psnr) else _closest(baseline, others))]
    if math.isinf(baseline.psnr):
        return ["The picture is the preview's as it is: there is nothing to explain."]
    return _closest(baseline, others)


def _resized(baseline: MeasuredTrial) -> list[str]:
    """The size is no matter of closeness: without it nothing can be compared."""
    rest = "nothing else is otherwise" if math.isinf(baseline.psnr) else "all else is tried at it"
    return [
        f"The preview has another size. At that size the picture as it is: {baseline.shown}; {rest}.",
        f"  in conf/: {baseline.outcome.change}",
    ]


def _closest(baseline: MeasuredTrial, others: Sequence[MeasuredTrial]) -> list[str]:
    """Which factor gains most; `baseline` is not identical."""
    if not others:
        return ["Nothing that was done otherwise can be compared with the preview."]
    start, best = baseline.psnr, others[0]
    if best.psnr - start < _GAIN:
        gain = f"gains {best.psnr - start:.2f} dB" if best.psnr > start else "does not gain anything"
        return [
            f"None of the {len(others)} that were tried explains it: the closest, {best.outcome.factor}, {gain}.",
            "What was not recorded remains: versions, the GPU and its kernels, other weights.",
        ]
    ties = [each for each in others if each.psnr == best.psnr or best.psnr - each.psnr < _TIE]
    lines = [
        f"Closest: {best.outcome.factor}, from {baseline.shown} to {best.shown}.",
        f"  in conf/: {best.outcome.change}",
    ]
    if len(ties) > 1:
        lines.append("As close, so that pictures cannot tell them apart:")
        lines += [f"  {each.outcome.factor} ({each.shown}): {each.outcome.change}" for each in ties[1:]]
    if not math.isinf(best.psnr):
        lines.append("It is not the whole of it: the pixels are not the preview's.")
    return lines


def _beside(outcome: Outcome, stored: PictureFile, preview: Preview) -> MeasuredTrial | str:
    """Measured after the encoder that the preview went through; or why it cannot be."""
    if outcome.image is None:
        return outcome.error or "no picture"
    try:
        made = read_picture(Path(outcome.image))
    except ImageError as error:
        return str(error)
    if made.pixels.shape != stored.pixels.shape:
        return f"its size is {made.size}, the preview's {stored.size}"
    pixels = made.pixels
    if stored.lossy and not made.lossy and preview.origin == TRAINER:
        pixels = as_encoded(pixels, ENCODINGS[stored.format])
    distance = psnr(stored.pixels, pixels)
    mean_abs = float(np.abs(stored.pixels.astype(np.int16) - pixels).mean())
    return MeasuredTrial(outcome, math.inf if distance is None else distance, mean_abs)
