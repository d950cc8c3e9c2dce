"""One preview and one render held against each other: read, brought to the same encoding, measured, judged.

What is wrong with a picture is part of the verdict; nothing here raises for it.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from darkroom.errors import ImageError
from darkroom.previews import TRAINER, Preview
from darkroom.record.rows import Failure, Record, Row
from darkroom.review.pair.measures import MEASURES, Measures, Pixels, measure, psnr
from darkroom.review.pair.own_floor import NO_FLOORS, FloorKey, Floors, allowed, is_in_doubt, is_wide
from darkroom.review.pair.picture_file import ENCODINGS, PictureFile, as_encoded, read_picture
from darkroom.review.regress.verdicts import (
    BEFORE_ENCODING,
    DRIFTED,
    IDENTICAL,
    MISSING,
    NO_PREVIEW_YET,
    NOT_RENDERED,
    NOT_REPRODUCIBLE,
    UNDECIDED,
    WITHIN_FLOOR,
    Verdict,
)
from darkroom.thresholds import Limits, ModelThresholds


@dataclass(frozen=True)
class JudgedPair:
    """What one pair comes to, for the columns of Comparison with these names."""

    verdict: Verdict
    reason: str | None = None
    notes: tuple[str, ...] = ()
    encoding: str | None = None
    measures: Measures | None = None
    thresholds: ModelThresholds | None = None  # that the measures were held against; None where there are none
    repeats: tuple[Measures, ...] = ()  # how far they are from the render: its own floor; none where it is not known


@dataclass(frozen=True, eq=False)
class _Beside:
    """Two pictures of one size, brought to the same encoding."""

    then: Pixels
    now: Pixels
    encoding: str | None  # that the render was put through
    notes: tuple[str, ...]
    is_same_file: bool  # no pixel differed before that

    @property
    def is_equal(self) -> bool:
        return self.is_same_file or np.array_equal(self.now, self.then)


def judge(
    render: Row | None,
    preview: Preview | None,
    thresholds: ModelThresholds,
    floors: Floors = NO_FLOORS,
    *,
    is_awaited: bool = False,
) -> JudgedPair:
    """The verdict on one picture, of which there is a render, a preview or both. `thresholds`: those of its model.

    `floors`: of its experiment. `is_awaited`: where there is no preview, the training run may have one by now.
    """
    if isinstance(render, Failure):
        return JudgedPair(NOT_RENDERED, render.error)
    if preview is None and is_awaited:
        return JudgedPair(NO_PREVIEW_YET, "newer than the previews; `darkroom import aitk JOB` takes them in again")
    if preview is None:
        return JudgedPair(MISSING, "no stored picture; if the render is right: darkroom accept")
    if render is None:
        reason = preview.reason or _lost_checkpoint(preview)
        return JudgedPair(NOT_REPRODUCIBLE if reason else NOT_RENDERED, reason)
    numerics = render.request.base.numerics
    if (then := preview.then.get("numerics", "exact")) != numerics:
        return JudgedPair(NOT_REPRODUCIBLE, f"numerics: {then} then, {numerics} now; the two are never compared")
    return _judge_files(render, preview, thresholds, floors)


def floor_asked_for(render: Record, preview: Preview | None) -> FloorKey | None:
    """The own floor that the verdict on a pair turns on; None where pixels are equal, or something else decides."""
    beside = _turning_on_a_floor(render, preview)
    return FloorKey.of(render, beside.encoding) if beside else None


def floor_in_doubt(render: Record, preview: Preview | None, floors: Floors, margin: float) -> FloorKey | None:
    """The same where it is known by few repeats, and the pair is beyond it, but not far; else None."""
    beside = _turning_on_a_floor(render, preview)
    floor = floors.of(render, beside.encoding) if beside else None
    if beside is None or floor is None or not is_in_doubt(psnr(beside.then, beside.now), floor.repeats, margin):
        return None
    return floor.key


def _turning_on_a_floor(render: Record, preview: Preview | None) -> _Beside | None:
    if preview is None or preview.reason:
        return None
    numerics = render.request.base.numerics
    if preview.then.get("numerics", "exact") != numerics or preview.sha256 == render.image_sha256:
        return None
    then, now = _stored(preview), _read(render.image_path)
    if isinstance(then, str) or isinstance(now, str) or now.pixels.shape != then.pixels.shape:
        return None
    beside = _beside(now, then, preview.origin)
    return None if beside.is_equal else beside


def _lost_checkpoint(preview: Preview) -> str | None:
    """Of a trainer's preview the checkpoint that is not there any more, in a sentence: trainers keep the last few."""
    files = [Path(lora["path"]) for lora in preview.then.get("loras", ())] if preview.origin == TRAINER else []
    lost = [str(file) for file in files if file.parent.is_dir() and not file.exists()]
    return f"its checkpoint is not there any more: {', '.join(lost)}" if lost else None


def _judge_files(render: Record, preview: Preview, thresholds: ModelThresholds, floors: Floors) -> JudgedPair:
    # 1. The preview: without it there is nothing to say of the render
    then = _stored(preview)
    if isinstance(then, str):
        return JudgedPair(MISSING, then)
    # 2. The render, and how far it is from the preview
    now = _read(render.image_path)
    if isinstance(now, str):
        judged = JudgedPair(DRIFTED, f"the render: {now}")
    else:
        judged = _measured(render, now, then, preview.origin, thresholds, floors)
        if now.sha256 != render.image_sha256:
            touched = "the render's file is not the one that was rendered: somebody edited or replaced it"
            judged = replace(judged, notes=(*judged.notes, touched))
    # 3. What counts for more than its pixels
    changed = _changed(preview, then)
    if preview.reason:
        notes = (said for said in (changed, judged.reason, *judged.notes) if said)
        return replace(judged, verdict=NOT_REPRODUCIBLE, reason=preview.reason, notes=tuple(notes))
    if changed:
        return replace(judged, verdict=MISSING, reason=_joined(changed, judged.reason))
    return judged


def _measured(
    render: Record, now: PictureFile, then: PictureFile, origin: str, thresholds: ModelThresholds, floors: Floors
) -> JudgedPair:
    """The verdict on two pictures, whatever else is known of them."""
    if now.pixels.shape != then.pixels.shape:
        return JudgedPair(DRIFTED, f"size: the preview is {then.size}, the render {now.size}")
    thresholds = thresholds.of_previews(lossy=then.lossy)
    beside = _beside(now, then, origin)
    measures = measure(beside.then, beside.now)
    judged = JudgedPair(IDENTICAL, None, beside.notes, beside.encoding, measures, thresholds)
    if measures.max_abs == 0:
        return judged if beside.is_same_file else replace(judged, verdict=BEFORE_ENCODING)
    floor = floors.of(render, beside.encoding)
    repeats = floor.repeats if floor else ()
    verdict = verdict_of(measures, thresholds, repeats)
    lacks = thresholds.own_floor is not None and not repeats
    reason = f"pixels differ, and the picture's own floor is not known: {floors.lack(render)}" if lacks else None
    return replace(judged, verdict=verdict, repeats=repeats, reason=reason)


def verdict_of(measures: Measures, thresholds: ModelThresholds, repeats: tuple[Measures, ...]) -> Verdict:
    """On pixels that differ: every limit holds, the own floor among them if it is asked for, or it has drifted.

    A floor that is asked for and not known does not hold.
    """
    if not keeps_limits(measures, thresholds):
        return DRIFTED
    if thresholds.own_floor is None:
        return WITHIN_FLOOR if thresholds.asked else DRIFTED  # where nothing is asked, nothing but equality will do
    least = allowed(repeats, thresholds.own_floor)
    if least is None or measures.psnr is None or measures.psnr < least:
        return DRIFTED
    return UNDECIDED if is_wide(repeats, thresholds.own_floor) else WITHIN_FLOOR


def _beside(now: PictureFile, then: PictureFile, origin: str) -> _Beside:
    equal = np.array_equal(now.pixels, then.pixels)
    encoding, notes = (None, ()) if equal else _encoding(now, then, origin)
    pixels = now.pixels if encoding is None else as_encoded(now.pixels, encoding)
    return _Beside(then.pixels, pixels, encoding, notes, equal)


def _encoding(now: PictureFile, then: PictureFile, origin: str) -> tuple[str | None, tuple[str, ...]]:
    """How the render is encoded before it is measured, as a trainer's preview was; or why it is measured as it is."""
    if then.lossy and origin == TRAINER:
        if not now.lossy:
            return ENCODINGS[then.format], ()
        return None, (f"the render is {now.format} itself, so it is measured as it is: render to png to compare",)
    if (then.format, then.lossy) != (now.format, now.lossy):
        return None, (f"the preview is {then.format}, the render {now.format}: measured as they are",)
    return None, ()


def keeps_limits(measures: Measures, limits: Limits) -> bool:
    """True when every limit that is set holds."""
    asked = limits.asked
    return all(each.keeps(getattr(measures, each.name), asked[each.name]) for each in MEASURES if each.name in asked)


def _stored(preview: Preview) -> PictureFile | str:
    """The preview's picture, or why it is missing."""
    if preview.path is None:
        return preview.reason or "no picture was left"
    then = _read(preview.path)
    return _joined(preview.reason, then) if isinstance(then, str) else then


def _read(path: str) -> PictureFile | str:
    """The picture, or a sentence on why it cannot be read."""
    try:
        return read_picture(Path(path))
    except ImageError as error:
        return str(error)


def _changed(preview: Preview, then: PictureFile) -> str | None:
    if preview.sha256 in (None, then.sha256):
        return None
    done, again = ("taken in", "import") if preview.origin == TRAINER else ("accepted", "accept")
    return f"{preview.path} is not the picture that was {done}: restore it, or {again} again"


def _joined(*reasons: str | None) -> str:
    return "; ".join(reason for reason in reasons if reason)
