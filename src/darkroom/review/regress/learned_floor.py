"""`darkroom floor`: how far pictures are from their nudged repeats, and the thresholds that follow from it."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from darkroom.errors import StoreError
from darkroom.record import read_embedded_record
from darkroom.review.pair.measures import Measures, Pixels, measure
from darkroom.review.pair.picture_file import ENCODINGS, as_encoded, read_picture
from darkroom.thresholds import Limits, Thresholds
from darkroom.trials import Outcome, Outcomes

_PARTS = 1_000_000  # a threshold is rounded to a millionth, to the generous side


def told(model: str, learned: Thresholds) -> str:
    """A line or two on what was learned of a model, for the person who asked."""
    if learned.max_abs == 0:
        return (
            f"{model}: every nudged repeat gave the picture's own pixels, so that nothing but identical pictures will "
            "pass. Where another machine still gives others, delete the file: conf/compare/default.yaml then counts"
        )
    return f"{model}: at least {learned.psnr} dB, at most {learned.max_abs:g} levels apart"


def learn(outcomes_file: Path, *, margin: float, now: datetime | None = None) -> Thresholds:
    """The worst difference of a repeat from its picture, times `margin`; no PSNR where all are equal.

    `outcomes_file`: of a sheet with repeats. StoreError where a picture of it was not rendered.
    """
    outcomes = _rendered(outcomes_file)
    pairs = [_pixels(str(each.image), repeat) for each in outcomes for repeat in each.repeats]
    jpeg = ENCODINGS["JPEG"]
    date = (now or datetime.now(UTC)).date().isoformat()
    encoded = [measure(*(as_encoded(each, jpeg) for each in pair)) for pair in pairs]
    return Thresholds(
        **asdict(limits([measure(*pair) for pair in pairs], margin)),
        encoded=limits(encoded, margin),
        learned=(
            f"{date}: {len(outcomes)} pictures, {len(outcomes[0].repeats)} nudged repeats each, the worst difference "
            f"x {margin:g}"
        ),
        environment=read_embedded_record(Path(str(outcomes[0].image))).environment,
    )


def limits(measured: Sequence[Measures], margin: float) -> Limits:
    """A margin of 2 allows errors twice as large: 6 dB, twice the levels, twice the distance of SSIM from 1."""
    psnrs = [each.psnr for each in measured if each.psnr is not None]
    return Limits(
        psnr=_down(min(psnrs) - 20 * math.log10(margin)) if psnrs else None,
        ssim=_down(1 - (1 - min(each.ssim for each in measured)) * margin),
        flip=_up(max(each.flip for each in measured) * margin),
        mean_abs=_up(max(each.mean_abs for each in measured) * margin),
        max_abs=float(math.ceil(max(each.max_abs for each in measured) * margin)),
    )


def _rendered(outcomes_file: Path) -> tuple[Outcome, ...]:
    outcomes = Outcomes.read(outcomes_file).outcomes
    failed = [f"{each.factor}: {each.error}" for each in outcomes if each.image is None]
    if failed:
        raise StoreError(f"{outcomes_file}: not every picture was rendered: {'; '.join(failed)}")
    return outcomes


def _pixels(image: str, repeat: str) -> tuple[Pixels, Pixels]:
    return read_picture(Path(image)).pixels, read_picture(Path(repeat)).pixels


def _down(value: float) -> float:
    return math.floor(value * _PARTS) / _PARTS


def _up(value: float) -> float:
    return math.ceil(value * _PARTS) / _PARTS
