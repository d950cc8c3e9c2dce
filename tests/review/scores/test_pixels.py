"""Scores from pixels: change against the base picture, diversity over seeds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.review.renders import render

from darkroom.errors import StoreError
from darkroom.record.rows import Record
from darkroom.request.parts import Lora
from darkroom.review.scores.pixels import change, distance, diversity, levels


def shown(folder: Path, name: str, gray: int, lora: str = "none", strength: float = 1.0, seed: int = 1) -> Record:
    """A gray picture of a prompt, 64 x 48."""
    loras = () if lora == "none" else (Lora(f"{lora}.safetensors", strength, "5" * 64),)
    axes = (("network_multiplier", strength), ("seed", seed))
    made = render(folder / name, np.full((48, 64, 3), gray, np.uint8), lora=lora, loras=loras, axes=axes, seed=seed)
    return replace(made, request_id=name)


def test_change_is_the_distance_to_the_base_picture_of_the_same_seed(tmp_path: Path) -> None:
    rows = [
        shown(tmp_path, "base1", 100),
        shown(tmp_path, "base2", 0, seed=2),
        shown(tmp_path, "half", 151, "sks", 0.5),
        shown(tmp_path, "whole", 255, "sks", 1.0, seed=2),
        shown(tmp_path, "unpaired", 9, "sks", 1.0, seed=3),
    ]
    assert change(rows) == {"base1": 0, "base2": 0, "half": pytest.approx(0.2), "whole": 1.0}
    with pytest.raises(StoreError, match="there is no picture of the base model: add none to"):
        change(rows[2:])


def test_diversity_is_the_mean_distance_to_the_other_seeds(tmp_path: Path) -> None:
    rows = [
        shown(tmp_path, "one", 0, "sks", seed=1),
        shown(tmp_path, "two", 51, "sks", seed=2),
        shown(tmp_path, "three", 102, "sks", seed=3),
        shown(tmp_path, "alone", 255, "other", seed=1),
    ]
    near, far = pytest.approx(0.2), pytest.approx(0.3)
    assert diversity(rows) == {"one": far, "two": near, "three": far}
    with pytest.raises(StoreError, match="no prompt has two seeds"):
        diversity(rows[:1])


def test_pictures_are_compared_as_they_look_at_a_glance(tmp_path: Path) -> None:
    y, x = np.mgrid[:128, :128]
    grain = np.repeat((255 * ((x + y) % 2)).astype(np.uint8)[..., None], 3, axis=2)
    made = render(tmp_path, grain)
    assert levels(Path(made.image_path)).shape == (64, 64, 3)
    assert float(levels(Path(made.image_path)).std()) < 0.01
    assert distance(np.zeros((2, 2, 3), np.float32), np.zeros((3, 2, 3), np.float32)) is None
