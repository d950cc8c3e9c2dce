"""What a picture shows: shape, colours, size, place, count, as values drawn from a seeded generator. Draws no pixel.

A tenth of the combinations of shape, colour and ground is held out: no training picture shows one of them.
"""

import hashlib
import random
from dataclasses import dataclass, replace

SHAPES = ("circle", "square", "triangle", "diamond", "cross", "ring", "heart")
STAR = "star"  # no picture of the base has one: it is what the LoRA teaches
COLOURS = {  # RGB, 0 to 1
    "red": (0.86, 0.12, 0.13),
    "orange": (0.96, 0.55, 0.10),
    "yellow": (0.98, 0.88, 0.20),
    "green": (0.14, 0.60, 0.26),
    "blue": (0.12, 0.32, 0.82),
    "purple": (0.50, 0.20, 0.66),
    "pink": (0.97, 0.62, 0.77),
    "white": (0.97, 0.97, 0.97),
    "gray": (0.52, 0.52, 0.52),
    "black": (0.07, 0.07, 0.07),
}
RADII = {"small": (9.5, 10.5), "medium": (14.0, 15.0), "big": (20.0, 21.0)}  # pixels
RADII_BY_COUNT = {2: (11.5, 12.5), 3: (8.5, 9.5)}
PLACES = {  # columns right of the middle, rows below it
    "centre": (0, 0),
    "left": (-1, 0),
    "right": (1, 0),
    "top": (0, -1),
    "bottom": (0, 1),
    "top left": (-1, -1),
    "top right": (1, -1),
    "bottom left": (-1, 1),
    "bottom right": (1, 1),
}
SIDE = 64  # pixels
_HELD_OUT = 0.1


@dataclass(frozen=True)
class Scene:
    """One picture: `count` equal shapes; size and place are said of single ones only."""

    shape: str
    colour: str
    ground: str
    size: str
    place: str
    count: int
    seats: tuple[tuple[float, float, float], ...]  # (x, y, radius) of each, pixels from the top left
    tints: tuple[float, ...]  # six small differences from the named colours: of the shape, of the ground


def is_held_out(shape: str, colour: str, ground: str) -> bool:
    """True for a combination that training never shows; the same on every machine."""
    digest = hashlib.sha256(f"{shape} {colour} {ground}".encode()).digest()
    return int.from_bytes(digest[:4]) / 2**32 < _HELD_OUT


def draw_scene(rng: random.Random, *, held_out: bool = False, shapes: tuple[str, ...] = SHAPES) -> Scene:
    """A scene of the training combinations, or of the held-out ones."""
    while True:
        shape, (colour, ground) = rng.choice(shapes), rng.sample(list(COLOURS), 2)
        if is_held_out(shape, colour, ground) is held_out:
            break
    count = rng.choices((1, 2, 3), (16, 3, 2))[0]
    size = rng.choice(list(RADII)) if count == 1 else "medium"
    place = rng.choice(["centre"] * 5 + list(PLACES)) if count == 1 else "centre"
    seats = _single(rng, size, place) if count == 1 else _row(rng, count)
    return Scene(
        shape,
        colour,
        ground,
        size,
        place,
        count,
        seats,
        tuple(rng.uniform(-0.025, 0.025) for _ in range(6)),
    )


def edited(rng: random.Random, scene: Scene) -> tuple[Scene, str]:
    """The same picture with one thing changed, and what: "shape", "colour" or "ground"."""
    while True:
        what = rng.choice(("shape", "colour", "ground"))
        values = SHAPES if what == "shape" else tuple(COLOURS)
        new = replace(scene, **{what: rng.choice(values)})
        if new != scene and new.colour != new.ground and not is_held_out(new.shape, new.colour, new.ground):
            return new, what


def _single(rng: random.Random, size: str, place: str) -> tuple[tuple[float, float, float], ...]:
    radius = rng.uniform(*RADII[size])
    reach = 0.85 * (SIDE / 2 - radius - 3)
    x, y = (SIDE / 2 + reach * side + rng.uniform(-1, 1) for side in PLACES[place])
    return ((x, y, radius),)


def _row(rng: random.Random, count: int) -> tuple[tuple[float, float, float], ...]:
    radius, middle = rng.uniform(*RADII_BY_COUNT[count]), SIDE / 2
    step = SIDE / count
    return tuple(
        (step * (seat + 0.5) + rng.uniform(-1, 1), middle + rng.uniform(-1, 1), radius) for seat in range(count)
    )
