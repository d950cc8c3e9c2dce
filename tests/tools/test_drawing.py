"""The demo's drawn pictures and the classifier that judges renders: each is checked against the other."""

import random

import pytest

from demo_training.captions import caption, full_caption
from demo_training.classifier import classify
from demo_training.drawing import draw
from demo_training.scenes import SHAPES, STAR, Scene, draw_scene, is_held_out


def scenes(count: int, **options: object) -> list[Scene]:
    rng = random.Random(3)
    return [draw_scene(rng, **options) for _ in range(count)]  # type: ignore[arg-type]


FILLED = (*SHAPES, STAR)
OUTLINED = tuple(shape for shape in FILLED if shape != "ring")  # a circle's outline is a ring


@pytest.mark.parametrize(("outlined", "shapes"), [(False, FILLED), (True, OUTLINED)], ids=["filled", "outlined"])
def test_the_classifier_tells_every_drawn_picture(outlined: bool, shapes: tuple[str, ...]) -> None:
    asked = scenes(150, shapes=shapes)
    if outlined:  # the arms of a small cross are all outline
        asked = [scene for scene in asked if scene.seats[0][2] > 13]
    pictures = (255 * draw(asked, outlined=outlined)).round().byte().permute(0, 2, 3, 1).numpy()
    for scene, picture in zip(asked, pictures, strict=True):
        seen = classify(picture)
        assert (seen.ground, seen.colour, seen.shape, seen.count) == (
            scene.ground,
            scene.colour,
            scene.shape,
            scene.count,
        )
        assert seen.outlined is outlined


def test_an_empty_picture_shows_nothing() -> None:
    [picture] = (255 * draw(scenes(1))).round().byte().permute(0, 2, 3, 1).numpy()
    picture[:] = (20, 80, 210)
    seen = classify(picture)
    assert (seen.ground, seen.colour, seen.shape, seen.count) == ("blue", None, None, 0)


def test_held_out_combinations_are_never_drawn_for_training() -> None:
    assert not any(is_held_out(scene.shape, scene.colour, scene.ground) for scene in scenes(1000))
    assert all(is_held_out(scene.shape, scene.colour, scene.ground) for scene in scenes(100, held_out=True))


def test_a_full_caption_names_what_is_there_and_a_training_caption_never_the_trigger_word() -> None:
    rng = random.Random(1)
    for scene in scenes(200):
        words = full_caption(rng, scene)
        assert scene.colour in words
        assert scene.ground in words
        assert "sks" not in caption(rng, scene)
