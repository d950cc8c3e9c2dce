"""Thresholds from repeated renders: what a margin allows, and what equal repeats come to."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from tests.examples.record import ENVIRONMENT, embedded

from darkroom.errors import StoreError
from darkroom.files.image_file import write_image
from darkroom.review.pair.measures import EQUAL, Measures
from darkroom.review.regress.learned_floor import learn, limits, told
from darkroom.thresholds import Limits
from darkroom.trials import Outcome, Outcomes

ON_A_GPU = replace(ENVIRONMENT, device="cuda", gpu_name="NVIDIA H100")
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def repeat(folder, number, *pictures):
    """One repeat's outcomes: a picture for each level, flat and grey if it is one number."""
    outcomes = []
    for index, level in enumerate(pictures):
        path = folder / f"{number}_{index}.png"
        record = replace(embedded(), environment=ON_A_GPU)
        write_image(path, np.full((16, 16, 3), level, np.uint8), record.to_json(), "png", 95)
        outcomes.append(Outcome(f"picture {index}", "", "id", str(path)))
    path = folder / f"{number}.json"
    Outcomes(outcomes=tuple(outcomes), not_tried=(), image=None, preview=None).write(path)
    return path


def test_the_worst_pair_of_any_picture_counts(tmp_path):
    repeats = [repeat(tmp_path, 1, 100, 50), repeat(tmp_path, 2, 100, 51), repeat(tmp_path, 3, 100, 53)]
    learned = learn(repeats, margin=2, now=NOW)
    assert (learned.max_abs, learned.mean_abs) == (6.0, 6.0), "levels 50 and 53, twice"
    assert learned.psnr == pytest.approx(20 * np.log10(255 / 6), abs=1e-5)
    assert learned.learned == "2026-01-02: 2 pictures rendered 3 times, the worst difference x 2"
    assert (learned.environment.gpu_name, learned.environment.torch_version) == ("NVIDIA H100", "2.13.0")
    assert told("klein", learned).startswith("klein: at least 32.56")


def test_between_lossy_previews_what_the_encoder_leaves_of_a_difference_counts(tmp_path):
    """A checkerboard of 1 level, which JPEG at quality 75 rounds away; and 6 levels of all pixels, which it keeps."""
    fine = 100 + np.indices((16, 16)).sum(axis=0)[..., None].repeat(3, axis=-1) % 2
    learned = learn([repeat(tmp_path, 1, 100), repeat(tmp_path, 2, fine)], margin=1, now=NOW)
    assert (learned.max_abs, learned.encoded.max_abs) == (1.0, 0.0)
    assert (learned.encoded.psnr, learned.encoded.ssim) == (None, 1.0)
    learned = learn([repeat(tmp_path, 1, 100), repeat(tmp_path, 2, 106)], margin=2, now=NOW)
    assert (learned.max_abs, learned.encoded.max_abs, learned.encoded.mean_abs) == (12.0, 12.0, 12.0)


def test_equal_repeats_allow_equality_alone_and_say_so(tmp_path):
    learned = learn([repeat(tmp_path, 1, 100), repeat(tmp_path, 2, 100)], margin=1.5, now=NOW)
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
        learn([path, path], margin=1.5)
