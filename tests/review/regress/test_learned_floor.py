"""Thresholds from nudged repeats: what a margin allows, and what equal repeats come to."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image
from tests.examples.record import ENVIRONMENT, embedded

from darkroom.errors import StoreError
from darkroom.files.image_file import write_image
from darkroom.review.pair.measures import EQUAL, Measures
from darkroom.review.regress.learned_floor import learn, limits, told
from darkroom.thresholds import Limits
from darkroom.trials import Outcome, Outcomes

ON_A_GPU = replace(ENVIRONMENT, device="cuda", gpu_name="NVIDIA H100")
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def outcomes(folder, *pictures):
    """Outcomes of a sheet: each picture as its level and those of its repeats, flat and grey where that is a number."""
    found = []
    for index, (level, *repeats) in enumerate(pictures):
        image = folder / f"{index}.png"
        record = replace(embedded(), environment=ON_A_GPU)
        write_image(image, flat(level), record.to_json(), "png", 95)
        files = [folder / f"{index}_{number}.png" for number, _ in enumerate(repeats, 1)]
        for file, repeat in zip(files, repeats, strict=True):
            Image.fromarray(flat(repeat)).save(file)
        found.append(Outcome(f"picture {index}", "", "id", str(image), repeats=tuple(map(str, files))))
    path = folder / "outcomes.json"
    Outcomes(outcomes=tuple(found), not_tried=(), image=None, preview=None).write(path)
    return path


def flat(level):
    return np.full((16, 16, 3), level, np.uint8)


def test_the_worst_repeat_of_any_picture_counts(tmp_path):
    learned = learn(outcomes(tmp_path, (100, 100, 100), (50, 51, 47)), margin=2, now=NOW)
    assert (learned.max_abs, learned.mean_abs) == (6.0, 6.0), "levels 50 and 47, twice; repeats are 4 apart"
    assert learned.psnr == pytest.approx(20 * np.log10(255 / 6), abs=1e-5)
    assert learned.learned == "2026-01-02: 2 pictures, 2 nudged repeats each, the worst difference x 2"
    assert (learned.environment.gpu_name, learned.environment.torch_version) == ("NVIDIA H100", "2.13.0")
    assert told("klein", learned).startswith("klein: at least 32.56")


def test_between_lossy_previews_what_the_encoder_leaves_of_a_difference_counts(tmp_path):
    """A checkerboard of 1 level, which JPEG at quality 75 rounds away; and 6 levels of all pixels, which it keeps."""
    fine = 100 + np.indices((16, 16)).sum(axis=0)[..., None].repeat(3, axis=-1) % 2
    learned = learn(outcomes(tmp_path, (100, fine)), margin=1, now=NOW)
    assert (learned.max_abs, learned.encoded.max_abs) == (1.0, 0.0)
    assert (learned.encoded.psnr, learned.encoded.ssim) == (None, 1.0)
    learned = learn(outcomes(tmp_path, (100, 106)), margin=2, now=NOW)
    assert (learned.max_abs, learned.encoded.max_abs, learned.encoded.mean_abs) == (12.0, 12.0, 12.0)


def test_equal_repeats_allow_equality_alone_and_say_so(tmp_path):
    learned = learn(outcomes(tmp_path, (100, 100)), margin=1.5, now=NOW)
    assert (learned.psnr, learned.ssim, learned.flip, learned.mean_abs, learned.max_abs) == (None, 1.0, 0.0, 0.0, 0.0)
    assert "nothing but identical pictures will pass" in told("klein", learned)


def test_a_margin_goes_to_the_generous_side():
    measured = Measures(max_abs=3, mean_abs=0.5, psnr=40.0, ssim=0.99, flip=0.01)
    assert limits([EQUAL, measured, replace(measured, psnr=41.0)], 1.5) == Limits(
        psnr=36.478174, ssim=0.985, flip=0.015, mean_abs=0.75, max_abs=5.0
    )


def test_a_picture_that_was_not_rendered_stops_it(tmp_path):
    path = tmp_path / "outcomes.json"
    failed = Outcome("cats 000_42", "", "id", error="out of memory")
    Outcomes(outcomes=(failed,), not_tried=(), image=None, preview=None).write(path)
    with pytest.raises(StoreError, match="not every picture was rendered: cats 000_42: out of memory"):
        learn(path, margin=1.5)
