"""Picture sizes in pixels, by aspect ratio and by the model's divisor."""

from math import isqrt

LEAST, MOST = 64, 4096  # of a side


def floored(width: int, height: int, divisor: int) -> tuple[int, int]:
    """Both sides floored to a multiple of `divisor`, as the trainer does before it draws the noise."""
    return width - width % divisor, height - height % divisor


def of_aspect_ratio(ratio: str, area: int, divisor: int) -> tuple[int, int]:
    """Sides in the ratio "16:9" with about `area` pixels, each floored to a multiple of `divisor`."""
    across, down = (int(part) for part in ratio.split(":"))
    return floored(isqrt(area * across // down), isqrt(area * down // across), divisor)


def into_range(size: tuple[int, int], ratio: str, divisor: int) -> tuple[int, int]:
    """The size nearest to one of this ratio that is out of range: its short side at the least, or its long at most."""
    across, down = (int(part) for part in ratio.split(":"))
    if min(size) < LEAST:
        side = LEAST + -LEAST % divisor
        return floored(max(side, side * across // down), max(side, side * down // across), divisor)
    side = MOST - MOST % divisor
    return floored(min(side, side * across // down), min(side, side * down // across), divisor)
