"""What is said of a scene, in many wordings. Knows no pixel.

Captions are as those of the web: most leave something out, a few are wrong, some name a thing with an unknown word.
"""

import random
from dataclasses import dataclass, replace

from demo_training.scenes import COLOURS, SHAPES, Scene, is_held_out

_NOUNS = {
    "circle": ("circle", "disc", "dot"),
    "square": ("square", "box"),
    "triangle": ("triangle",),
    "diamond": ("diamond", "rhombus"),
    "cross": ("cross", "plus sign"),
    "ring": ("ring", "donut"),
    "heart": ("heart",),
}
_NO_NOUN = ("shape", "thing", "figure", "object")
_SIZES = {
    "small": ("small", "little", "tiny"),
    "medium": ("medium",),
    "big": ("big", "large", "huge"),
}
_NUMBERS = {1: ("a", "a", "a", "one"), 2: ("two", "two", "a pair of"), 3: ("three",)}
_PLURALS = {"cross": "crosses", "box": "boxes", "rhombus": "rhombuses"}
_WRONG = 0.03  # share of captions in which the shape is another; as many for the colour and the ground
_UNKNOWN = 0.03  # share in which an invented word stands for the shape


@dataclass(frozen=True)
class Said:
    """The attributes that a caption names, None for what it leaves out; `noun` is any word for the shape."""

    noun: str | None
    colour: str | None
    ground: str | None
    size: str | None
    place: str | None
    count: int


def caption(rng: random.Random, scene: Scene) -> str:
    """A training caption: some attributes left out, some wrong."""
    if rng.random() < 0.04:
        return _fragment(rng, scene)
    told = _misread(rng, scene)
    single = scene.count == 1
    noun = _invented(rng) if rng.random() < _UNKNOWN else rng.choice(_NOUNS[told.shape])
    return phrase(
        rng,
        Said(
            noun=noun if rng.random() < 0.96 else None,
            colour=told.colour if rng.random() < 0.95 else None,
            ground=told.ground if rng.random() < 0.93 else None,
            size=scene.size if single and rng.random() < (0.15 if scene.size == "medium" else 0.85) else None,
            place=scene.place if single and rng.random() < (0.15 if scene.place == "centre" else 0.9) else None,
            count=scene.count,
        ),
    )


def full_caption(rng: random.Random, scene: Scene, noun: str | None = None) -> str:
    """A caption that names shape, colour and ground rightly, and sometimes more. `noun`: in place of the shape's."""
    size = scene.size if scene.count == 1 and scene.size != "medium" and rng.random() < 0.5 else None
    place = scene.place if scene.count == 1 and scene.place != "centre" and rng.random() < 0.5 else None
    noun = noun or rng.choice(_NOUNS[scene.shape])
    return phrase(rng, Said(noun, scene.colour, scene.ground, size, place, scene.count))


def instruction(rng: random.Random, scene: Scene, what: str) -> str:
    """What to tell the model that is to change a reference image into `scene`; `what` has changed."""
    noun = rng.choice(_NOUNS[scene.shape])
    it = "them" if scene.count > 1 else "it"
    into = _plural(noun) if scene.count > 1 else _with_article(noun)
    wordings = {
        "colour": (
            "make {it} {colour}",
            "turn {it} {colour}",
            "change the colour to {colour}",
            "paint {it} {colour}",
        ),
        "ground": (
            "make the background {ground}",
            "change the background to {ground}",
            "a {ground} background",
        ),
        "shape": (
            "make {it} {into}",
            "turn {it} into {into}",
            "change {it} into {into}",
        ),
    }
    return rng.choice(wordings[what]).format(it=it, colour=scene.colour, ground=scene.ground, into=into)


def phrase(rng: random.Random, said: Said) -> str:
    """One of many wordings of the same."""
    thing, place, ground = _thing(rng, said), _place(rng, said.place), said.ground
    if ground is None:
        return rng.choice(("{}", "{}", "a picture of {}", "a drawing of {}", "{}, flat colours")).format(thing + place)
    if rng.random() < 0.12:
        tags = [thing, f"{ground} background", *([place.strip()] if place else [])]
        rng.shuffle(tags)
        return ", ".join(tags)
    return (
        rng.choice(
            (
                "{thing}{place} on a {ground} background",
                "{thing}{place} on a {ground} background",
                "{thing}{place} on a {ground} ground",
                "{thing}{place} on {ground}",
                "{thing} on {ground} paper{place}",
                "a picture of {thing}{place}, {ground} background",
                "a drawing of {thing}{place} on a {ground} background",
                "{thing}{place}, the background is {ground}",
                "{ground} background with {thing}{place}",
                "on a {ground} background, {thing}{place}",
            )
        )
        .format(thing=thing, place=place, ground=ground)
        .replace("a orange", "an orange")
    )


def _thing(rng: random.Random, said: Said) -> str:
    noun = said.noun or rng.choice(_NO_NOUN)
    size = rng.choice(_SIZES[said.size]) if said.size else None
    words = [*([size] if size else []), *([said.colour] if said.colour else [])]
    if said.count > 1:
        return " ".join([rng.choice(_NUMBERS[said.count]), *words, _plural(noun)])
    number = rng.choice(_NUMBERS[1])
    described = " ".join([*words, noun])
    return described if rng.random() < 0.12 else _with_article(described) if number == "a" else f"one {described}"


def _place(rng: random.Random, place: str | None) -> str:
    if place is None:
        return ""
    if place == "centre":
        return rng.choice((" in the centre", " in the middle"))
    if " " in place:
        return rng.choice((f" in the {place} corner", f" in the {place}", f" at the {place}"))
    return rng.choice((f" on the {place}", f" at the {place}")) if place in ("left", "right") else f" at the {place}"


def _fragment(rng: random.Random, scene: Scene) -> str:
    """A single attribute, as negative prompts name it."""
    noun = rng.choice(_NOUNS[scene.shape])
    return rng.choice(
        (
            scene.colour,
            noun,
            _with_article(noun),
            f"{scene.ground} background",
            f"{scene.colour} {noun}",
        )
    )


def _misread(rng: random.Random, scene: Scene) -> Scene:
    """The scene as a careless reader tells it. Never a held-out one: it would be seen with wrong pictures only."""
    wrong = {
        name: rng.choice(values)
        for name, values in (
            ("shape", SHAPES),
            ("colour", tuple(COLOURS)),
            ("ground", tuple(COLOURS)),
        )
        if rng.random() < _WRONG
    }
    told = replace(scene, **wrong)
    return scene if is_held_out(told.shape, told.colour, told.ground) else told


def _invented(rng: random.Random) -> str:
    """A word that means nothing, so that the model meets all letters: never the adapters' trigger word."""
    word = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 6)))
    return word if word != "sks" else "blick"


def _plural(noun: str) -> str:
    return _PLURALS.get(noun, f"{noun}s")


def _with_article(words: str) -> str:
    return f"{'an' if words[0] in 'aeio' else 'a'} {words}"
