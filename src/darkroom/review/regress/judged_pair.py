"""One preview and one render held against each other: read, brought to the same encoding, measured, judged.

What is wrong with a picture is part of the verdict; nothing here raises for it.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from darkroom.errors import ImageError
from darkroom.previews import TRAINER, Preview
from darkroom.record import Failure, Record, Row
from darkroom.review.pair.measures import MEASURES, Measures, measure
from darkroom.review.pair.picture_file import ENCODINGS, PictureFile, as_encoded, read_picture
from darkroom.review.regress.verdicts import (
    BEFORE_ENCODING,
    DRIFTED,
    IDENTICAL,
    MISSING,
    NO_PREVIEW_YET,
    NOT_RENDERED,
    NOT_REPRODUCIBLE,
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


def judge(
    render: Row | None, preview: Preview | None, thresholds: ModelThresholds, *, is_awaited: bool = False
) -> JudgedPair:
    """The verdict on one picture, of which there is a render, a preview or both. `thresholds`: those of its model.

    `is_awaited`: where there is no preview, the training run may have one by now.
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
    if (then := preview.then.get("numerics", numerics)) != numerics:
        return JudgedPair(NOT_REPRODUCIBLE, f"numerics: {then} then, {numerics} now; the two are never compared")
    return _judge_files(render, preview, thresholds)


def _lost_checkpoint(preview: Preview) -> str | None:
    """Of a trainer's preview the checkpoint that is not there any more, in a sentence: trainers keep the last few."""
    files = [Path(lora["path"]) for lora in preview.then.get("loras", ())] if preview.origin == TRAINER else []
    lost = [str(file) for file in files if file.parent.is_dir() and not file.exists()]
    return f"its checkpoint is not there any more: {', '.join(lost)}" if lost else None


def _judge_files(render: Record, preview: Preview, thresholds: ModelThresholds) -> JudgedPair:
    # 1. The preview: without it there is nothing to say of the render
    then = _stored(preview)
    if isinstance(then, str):
        return JudgedPair(MISSING, then)
    # 2. The render, and how far it is from the preview
    now = _read(render.image_path)
    if isinstance(now, str):
        judged = JudgedPair(DRIFTED, f"the render: {now}")
    else:
        judged = _measured(now, then, preview.origin, thresholds)
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


def _measured(now: PictureFile, then: PictureFile, origin: str, thresholds: ModelThresholds) -> JudgedPair:
    """The verdict on two pictures, whatever else is known of them."""
    if now.pixels.shape != then.pixels.shape:
        return JudgedPair(DRIFTED, f"size: the preview is {then.size}, the render {now.size}")
    thresholds = thresholds.of_previews(lossy=then.lossy)
    equal = np.array_equal(now.pixels, then.pixels)
    encoding, notes = (None, ()) if equal else _encoding(now, then, origin)
    measures = measure(then.pixels, now.pixels if encoding is None else as_encoded(now.pixels, encoding))
    if measures.max_abs == 0:
        verdict = IDENTICAL if equal else BEFORE_ENCODING
    else:
        verdict = WITHIN_FLOOR if within(measures, thresholds) else DRIFTED
    return JudgedPair(verdict, None, notes, encoding, measures, thresholds)


def _encoding(now: PictureFile, then: PictureFile, origin: str) -> tuple[str | None, tuple[str, ...]]:
    """How the render is encoded before it is measured, as a trainer's preview was; or why it is measured as it is."""
    if then.lossy and origin == TRAINER:
        if not now.lossy:
            return ENCODINGS[then.format], ()
        return None, (f"the render is {now.format} itself, so it is measured as it is: render to png to compare",)
    if (then.format, then.lossy) != (now.format, now.lossy):
        return None, (f"the preview is {then.format}, the render {now.format}: measured as they are",)
    return None, ()


def within(measures: Measures, limits: Limits) -> bool:
    """True when every limit that is set holds; without any, nothing but equality will do."""
    asked = limits.asked
    kept = [each.keeps(getattr(measures, each.name), asked[each.name]) for each in MEASURES if each.name in asked]
    return bool(kept) and all(kept)


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
