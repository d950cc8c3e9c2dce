"""What one preview and one render come to: read, brought to the same encoding, measured, judged. Knows no table.

What is wrong with a picture is part of what is found; nothing here raises for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.errors import ImageError
from darkroom.previews import TRAINER, Preview
from darkroom.review.pair.measures import EQUAL, Measures, measure
from darkroom.review.pair.picture_file import ENCODINGS, PictureFile, as_encoded, read_picture
from darkroom.review.regress.verdicts import (
    BEFORE_ENCODING,
    DRIFTED,
    IDENTICAL,
    MISSING,
    NOT_RENDERED,
    NOT_REPRODUCIBLE,
    WITHIN_FLOOR,
    Verdict,
)

Row = Mapping[str, Any]  # of the manifest
Thresholds = Mapping[str, Any]  # of one model: measures by name, null where they do not count; `in_effect`, `within`

_AT_LEAST, _AT_MOST = ("psnr", "ssim"), ("flip", "mean_abs", "max_abs")


@dataclass(frozen=True)
class Finding:
    """What one pair comes to, for the columns of Comparison with these names."""

    verdict: Verdict
    reason: str | None = None
    notes: tuple[str, ...] = ()
    encoding: str | None = None
    measures: Measures | None = None
    floor: Thresholds | None = None  # that the measures were held against; None where nothing was measured


def find(row: Row | None, preview: Preview | None, floor: Thresholds) -> Finding:
    """Read, encode, measure and judge one pair. `floor`: the thresholds of its model."""
    # 1. Is there a pair that may be compared?
    if preview is None:
        return Finding(MISSING, "no stored picture; if the render is right: darkroom accept")
    if row is None:
        return Finding(NOT_REPRODUCIBLE, preview.reason) if preview.reason else Finding(NOT_RENDERED)
    if (numerics := preview.then.get("numerics", row["numerics"])) != row["numerics"]:
        return Finding(
            NOT_REPRODUCIBLE, f"numerics: {numerics} then, {row['numerics']} now; the two are never compared"
        )
    # 2. Their pixels
    if preview.path is None:
        return Finding(MISSING, preview.reason or "no picture was left")
    try:
        then = read_picture(Path(preview.path))
    except ImageError as error:
        return Finding(MISSING, _joined(preview.reason, str(error)))
    changed = _changed(preview, then)
    try:
        now = read_picture(Path(row["image_path"]))
    except ImageError as error:
        said = _joined(preview.reason, f"the render: {error}")
        return Finding(NOT_REPRODUCIBLE if preview.reason else DRIFTED, said, changed)
    # 3. What they come to
    finding = _judged(now, then, preview.origin, floor)
    notes = finding.notes
    if now.sha256 != row["image_sha256"]:
        notes = (*notes, "the render's file is not the one that was rendered: somebody edited or replaced it")
    if preview.reason:
        return replace(finding, verdict=NOT_REPRODUCIBLE, reason=preview.reason, notes=(*changed, *notes))
    if changed:
        return replace(finding, verdict=MISSING, reason=_joined(*changed, finding.reason), notes=notes)
    return replace(finding, notes=notes)


def _judged(now: PictureFile, then: PictureFile, origin: str, floor: Thresholds) -> Finding:
    """Of two pictures, whatever else is known of them."""
    if now.pixels.shape != then.pixels.shape:
        return Finding(DRIFTED, f"size: the preview is {then.size}, the render {now.size}")
    floor = in_effect(floor, then)
    if np.array_equal(now.pixels, then.pixels):
        return Finding(IDENTICAL, measures=EQUAL, floor=floor)
    notes: list[str] = []
    encoding, pixels = None, now.pixels
    if then.lossy and origin == TRAINER:
        if now.lossy:
            notes.append(f"the render is {now.format} itself, so it is measured as it is: render to png to compare")
        else:
            encoding = ENCODINGS[then.format]
            pixels = as_encoded(pixels, encoding)
    elif (then.format, then.lossy) != (now.format, now.lossy):
        notes.append(f"the preview is {then.format}, the render {now.format}: measured as they are")
    measures = measure(then.pixels, pixels)
    if measures.max_abs == 0:
        return Finding(BEFORE_ENCODING, None, (), encoding, measures, floor)
    verdict = WITHIN_FLOOR if within(measures, floor) else DRIFTED
    return Finding(verdict, None, tuple(notes), encoding, measures, floor)


def in_effect(floor: Thresholds, preview: PictureFile) -> Thresholds:
    """Those of `encoded` for a lossy preview, if there are any; the others for every other picture."""
    plain = {name: value for name, value in floor.items() if name != "encoded"}
    return {**plain, **floor["encoded"], "lossy": True} if preview.lossy and floor.get("encoded") else plain


def within(measures: Measures, floor: Thresholds) -> bool:
    """True when every threshold that is not null holds; without any, nothing but equality will do."""
    checks = [getattr(measures, name) >= floor[name] for name in _AT_LEAST if floor.get(name) is not None]
    checks += [getattr(measures, name) <= floor[name] for name in _AT_MOST if floor.get(name) is not None]
    return bool(checks) and all(checks)


def _changed(preview: Preview, then: PictureFile) -> tuple[str, ...]:
    if preview.sha256 in (None, then.sha256):
        return ()
    done, again = ("taken in", "import") if preview.origin == TRAINER else ("accepted", "accept")
    return (f"{preview.path} is not the picture that was {done}: restore it, or {again} again",)


def _joined(*reasons: str | None) -> str:
    return "; ".join(reason for reason in reasons if reason)
