"""Pixels of scenes: smooth-edged shapes on a plain ground, filled or outlined. Knows no words.

Every shape is a function of the distance to its edge in pixels, negative inside.
"""

import math
from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from demo_training.scenes import COLOURS, SIDE, Scene

_STROKE = 1.4  # half the width of an outline, pixels


def draw(scenes: Sequence[Scene], *, outlined: bool = False) -> Tensor:
    """Pictures (scenes, 3, SIDE, SIDE) of `scenes`, 0 to 1."""
    return torch.stack([_draw_one(scene, outlined=outlined) for scene in scenes])


def picture(scene: Scene) -> Image.Image:
    """One scene as an image file has it."""
    return Image.fromarray((255 * draw([scene])[0].permute(1, 2, 0)).round().byte().numpy())


def _draw_one(scene: Scene, *, outlined: bool) -> Tensor:
    colour, ground = (torch.tensor(COLOURS[name]).view(3, 1, 1) for name in (scene.colour, scene.ground))
    tints = torch.tensor(scene.tints).view(2, 3, 1, 1)
    distance = torch.stack([seated(scene.shape, *seat) for seat in scene.seats]).amin(0)
    if outlined:
        distance = (distance + _STROKE).abs() - _STROKE
    cover = (0.5 - distance).clamp(0, 1)
    return torch.lerp(ground + tints[1], colour + tints[0], cover).clamp(0, 1)


def seated(shape: str, x: float, y: float, radius: float, side: int = SIDE) -> Tensor:
    """Distance (side, side) of each pixel's middle to the edge of a shape at (x, y), pixels."""
    middles = torch.arange(side) + 0.5
    return _EDGES[shape](middles[None, :] - x, middles[:, None] - y, radius)


def _circle(x: Tensor, y: Tensor, r: float) -> Tensor:
    return torch.hypot(x, y) - r


def _box(x: Tensor, y: Tensor, half_width: float, half_height: float) -> Tensor:
    return torch.maximum(x.abs() - half_width, y.abs() - half_height)


def _square(x: Tensor, y: Tensor, r: float) -> Tensor:
    return _box(x, y, 0.86 * r, 0.86 * r)


def _triangle(x: Tensor, y: Tensor, r: float) -> Tensor:
    y = y - 0.2 * r
    slope = x.abs() * math.cos(math.pi / 6) - y * math.sin(math.pi / 6)
    return torch.maximum(slope, y) - 0.58 * r


def _diamond(x: Tensor, y: Tensor, r: float) -> Tensor:
    return (1.45 * x.abs() + y.abs() - 1.1 * r) / math.hypot(1.45, 1)


def _cross(x: Tensor, y: Tensor, r: float) -> Tensor:
    return torch.minimum(_box(x, y, 0.33 * r, r), _box(x, y, r, 0.33 * r))


def _ring(x: Tensor, y: Tensor, r: float) -> Tensor:
    return (torch.hypot(x, y) - 0.74 * r).abs() - 0.26 * r


def _heart(x: Tensor, y: Tensor, r: float) -> Tensor:
    y, a = (
        y - 0.12 * r,
        0.82 * r,
    )  # a: half the diagonal of the square that two half circles sit on
    square = (x.abs() + y.abs() - a) / math.sqrt(2)
    return torch.minimum(square, torch.hypot(x.abs() - a / 2, y + a / 2) - a / math.sqrt(2))


def _star(x: Tensor, y: Tensor, r: float) -> Tensor:
    outer, inner, sector = 1.08 * r, 0.45 * r, 2 * math.pi / 5
    angle = torch.remainder(torch.atan2(x, -y) + sector / 2, sector) - sector / 2
    along, across = (
        torch.hypot(x, y) * torch.cos(angle),
        torch.hypot(x, y) * torch.sin(angle).abs(),
    )
    dx, dy = inner * math.cos(sector / 2) - outer, inner * math.sin(sector / 2)
    return ((along - outer) * dy - across * dx) / math.hypot(dx, dy)


_EDGES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "diamond": _diamond,
    "cross": _cross,
    "ring": _ring,
    "heart": _heart,
    "star": _star,
}
