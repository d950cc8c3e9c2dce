"""What a picture shows, by plain measurement: colours, shape, count, outline. Knows no prompt and no network.

The ground is the median of the border, what differs from it is the shape, and its name is that of the drawn shape that
overlaps best.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, binary_fill_holes
from skimage.color import rgb2lab
from skimage.measure import label, regionprops

from demo_training.drawing import seated
from demo_training.scenes import COLOURS, SHAPES, STAR

Mask = NDArray[np.bool_]
_BORDER = 2  # pixels
_DIFFERENT = 0.45  # share of the way from the ground's colour to the most different one
_LEAST_DIFFERENCE = 9.0  # CIE Lab; less than that is no shape
_LEAST_AREA = 40  # pixels
_STROKE = 4  # pixels from the edge, more than an outline is wide
_LEAST_OVERLAP = 0.6  # intersection over union


@dataclass(frozen=True)
class Seen:
    """What a picture shows; None where nothing stands out from the ground, or it is like no known shape."""

    ground: str
    colour: str | None
    shape: str | None
    count: int
    outlined: bool


def classify(picture: NDArray[np.uint8]) -> Seen:
    """`picture`: (side, side, 3) levels."""
    lab = rgb2lab(picture)
    border = np.concatenate([lab[:_BORDER].reshape(-1, 3), lab[-_BORDER:].reshape(-1, 3)])
    ground = np.median(border, axis=0)
    difference = np.linalg.norm(lab - ground, axis=-1)
    farthest = float(np.percentile(difference, 99.5))
    parts = label(difference > max(_DIFFERENT * farthest, _LEAST_DIFFERENCE))
    regions = sorted((r for r in regionprops(parts) if r.area >= _LEAST_AREA), key=lambda r: -r.area)
    if not regions:
        return Seen(_nearest(ground), None, None, 0, False)
    largest: Mask = parts == regions[0].label
    inside = binary_erosion(largest, iterations=1)
    colour = np.median(lab[inside if inside.sum() >= 10 else largest], axis=0)
    filled: Mask = binary_fill_holes(largest)
    outlined = _is_hollow(largest, filled) and _overlap(largest, "ring") < 0.8
    shape = _shape(filled if outlined else largest)
    count = sum(bool(r.area >= 0.4 * regions[0].area) for r in regions)
    return Seen(_nearest(ground), _nearest(colour), shape, count, outlined)


def _nearest(lab: NDArray[np.float64]) -> str:
    names, values = _palette()
    return names[int(np.argmin(np.linalg.norm(values - lab, axis=-1)))]


@cache
def _palette() -> tuple[tuple[str, ...], NDArray[np.float64]]:
    return tuple(COLOURS), rgb2lab(np.array(list(COLOURS.values()))[None])[0]


def _is_hollow(mask: Mask, filled: Mask) -> bool:
    """True where less than half of what lies well inside the edge is drawn."""
    core: Mask = binary_erosion(filled, iterations=_STROKE)
    return bool(mask[core].mean() < 0.5) if core.any() else False


def _shape(mask: Mask) -> str | None:
    overlaps = {shape: _overlap(mask, shape) for shape in (*SHAPES, STAR)}
    best = max(overlaps, key=lambda shape: overlaps[shape])
    return best if overlaps[best] >= _LEAST_OVERLAP else None


def _overlap(mask: Mask, shape: str) -> float:
    """Intersection over union with a drawn shape in the same bounding box: as high, its middle on the box's."""
    rows, columns = np.nonzero(mask)
    top, bottom, left, right = (
        rows.min(),
        rows.max() + 1,
        columns.min(),
        columns.max() + 1,
    )
    shape_top, shape_bottom, shape_left, shape_right = _box(shape)
    scale_x, scale_y = (
        (right - left) / (shape_right - shape_left),
        (bottom - top) / (shape_bottom - shape_top),
    )
    radius = (scale_x * scale_y) ** 0.5
    if not 0.7 < scale_x / scale_y < 1.43:
        return 0.0
    x = (left + right) / 2 - radius * (shape_left + shape_right) / 2
    y = (top + bottom) / 2 - radius * (shape_top + shape_bottom) / 2
    drawn: Mask = seated(shape, float(x), float(y), float(radius), mask.shape[0]).numpy() < 0
    return float((mask & drawn).sum() / (mask | drawn).sum())


@cache
def _box(shape: str) -> tuple[float, float, float, float]:
    """Top, bottom, left and right of a shape of radius 1 at (0, 0)."""
    side, radius = 400, 100.0
    rows, columns = np.nonzero(seated(shape, side / 2, side / 2, radius, side).numpy() < 0)
    edges = (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)
    top, bottom, left, right = ((float(edge) - side / 2) / radius for edge in edges)
    return top, bottom, left, right
