"""Picture sizes in pixels, by aspect ratio and by the model's divisor."""

from math import isqrt


def floored(width: int, height: int, divisor: int) -> tuple[int, int]:
    """Both sides floored to a multiple of `divisor`, as the trainer does before it draws the noise."""
    return width - width % divisor, height - height % divisor


def of_aspect_ratio(ratio: str, area: int, divisor: int) -> tuple[int, int]:
    """Sides in the ratio "16:9" with about `area` pixels, each floored to a multiple of `divisor`."""
    across, down = (int(part) for part in ratio.split(":"))
    return floored(isqrt(area * across // down), isqrt(area * down // across), divisor)
