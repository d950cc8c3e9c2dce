"""`darkroom floor`: how far apart repeated renders of one request are, and the thresholds that follow from it."""

import itertools
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
from darkroom.trials import Outcomes

_PARTS = 1_000_000  # a threshold is rounded to a millionth, to the generous side


def told(model: str, learned: Thresholds) -> str:
    """A line or two on what was learned of a model, for the person who asked."""
    if learned.max_abs == 0:
        return (
            f"{model}: every repeat gave the same pixels, so that nothing but identical pictures will pass on "
            "this machine. On another machine or other versions learn it again, or delete the file: "
            "conf/compare/default.yaml then counts"
        )
    return f"{model}: at least {learned.psnr} dB, at most {learned.max_abs:g} levels apart"


def learn(outcomes_files: Sequence[Path], *, margin: float, now: datetime | None = None) -> Thresholds:
    """The worst difference between any two repeats of a picture, times `margin`; no PSNR where repeats were equal.

    `outcomes_files`: of the same sheet, rendered once each. StoreError where a picture of them was not rendered.
    """
    repeats = [_pictures(path) for path in outcomes_files]
    pairs = [_pixels(pair) for each in zip(*repeats, strict=True) for pair in itertools.combinations(each, 2)]
    jpeg = ENCODINGS["JPEG"]
    date = (now or datetime.now(UTC)).date().isoformat()
    encoded = [measure(*(as_encoded(each, jpeg) for each in pair)) for pair in pairs]
    return Thresholds(
        **asdict(limits([measure(*pair) for pair in pairs], margin)),
        encoded=limits(encoded, margin),
        learned=f"{date}: {len(repeats[0])} pictures rendered {len(repeats)} times, the worst difference x {margin:g}",
        environment=read_embedded_record(repeats[0][0]).environment,
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


def _pictures(outcomes_file: Path) -> list[Path]:
    outcomes = Outcomes.read(outcomes_file).outcomes
    failed = [f"{each.factor}: {each.error}" for each in outcomes if each.image is None]
    if failed:
        raise StoreError(f"{outcomes_file}: not every picture was rendered: {'; '.join(failed)}")
    return [Path(str(each.image)) for each in outcomes]


def _pixels(pair: tuple[Path, Path]) -> tuple[Pixels, Pixels]:
    first, second = pair
    return read_picture(first).pixels, read_picture(second).pixels


def _down(value: float) -> float:
    return math.floor(value * _PARTS) / _PARTS


def _up(value: float) -> float:
    return math.ceil(value * _PARTS) / _PARTS
