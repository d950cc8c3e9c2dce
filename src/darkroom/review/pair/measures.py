"""How far two pictures of one size are apart: the five measures, how people read them, whether one keeps a limit.

scikit-image and flip-evaluator are imported by the functions that need them, and for pictures that differ only.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]  # (height, width, 3), sRGB

_WINDOW = 7  # pixels; scikit-image's default


@dataclass(frozen=True)
class Measures:
    """Levels are those of 8 bits; the fields are columns of compare.parquet."""

    max_abs: int  # levels
    mean_abs: float  # levels
    psnr: float | None  # dB; None for equal pixels
    ssim: float
    flip: float  # mean of the error map: 0 (equal) to 1

    def __str__(self) -> str:
        """Such as `FLIP 0.0400, PSNR 31.20 dB, SSIM 0.9300, mean |Δ| 0.123 levels, max |Δ| 9 levels`."""
        if self.psnr is None:
            return "every pixel is equal"
        return ", ".join(f"{measure.label} {measure.text(getattr(self, measure.name))}" for measure in MEASURES)


@dataclass(frozen=True)
class Measure:
    """One field of Measures, for people, and which of its values are the better ones."""

    name: str
    label: str
    digits: int  # after the point
    unit: str
    is_distance: bool  # a limit is the most that is allowed; else a likeness, and the least

    def text(self, value: float | None) -> str:
        return "∞ (equal)" if value is None else f"{value:.{self.digits}f}{self.unit}"

    def keeps(self, value: float | None, limit: float) -> bool:
        """True when the limit holds; every limit does where there is no difference to measure (None)."""
        if value is None:
            return True
        return value <= limit if self.is_distance else value >= limit


PSNR = Measure("psnr", "PSNR", 2, " dB", False)
MEASURES = (
    Measure("flip", "FLIP", 4, "", True),
    PSNR,
    Measure("ssim", "SSIM", 4, "", False),
    Measure("mean_abs", "mean |Δ|", 3, " levels", True),
    Measure("max_abs", "max |Δ|", 0, " levels", True),
)

EQUAL = Measures(max_abs=0, mean_abs=0.0, psnr=None, ssim=1.0, flip=0.0)


def measure(preview: Pixels, render: Pixels) -> Measures:
    """Every measure of two pictures of one size, at least 3 pixels each way."""
    difference = np.abs(preview.astype(np.int16) - render)
    if not difference.any():
        return EQUAL
    return Measures(
        max_abs=int(difference.max()),
        mean_abs=float(difference.mean()),
        psnr=psnr(preview, render),
        ssim=ssim(preview, render),
        flip=float(flip_map(preview, render).mean(dtype=np.float64)),
    )


def psnr(preview: Pixels, render: Pixels) -> float | None:
    """Peak signal-to-noise ratio in dB, None for equal pixels: the one measure that takes no time."""
    mean_square = float(np.square(preview.astype(np.int32) - render).mean())
    return 10 * math.log10(255**2 / mean_square) if mean_square else None


def ssim(preview: Pixels, render: Pixels) -> float:
    """Structural similarity as scikit-image computes it by default: uniform windows, mean over pixels and channels."""
    from skimage.metrics import structural_similarity

    shortest = min(preview.shape[:2])
    window = min(_WINDOW, shortest - 1 + shortest % 2)  # odd
    return float(structural_similarity(preview, render, win_size=window, channel_axis=2, data_range=255))


def flip_map(preview: Pixels, render: Pixels) -> npt.NDArray[np.float32]:
    """FLIP's error of each pixel, (height, width), 0 to 1: for a person some 70 cm from a 4K screen, its default.

    Andersson et al., "FLIP: A Difference Evaluator for Alternating Images", 2020.
    """
    from flip_evaluator import evaluate

    reference, test = (np.divide(pixels, 255, dtype=np.float32) for pixels in (preview, render))
    errors, _, _ = evaluate(reference, test, "LDR", applyMagma=False, computeMeanError=False)
    return np.asarray(errors[:, :, 0], dtype=np.float32)
