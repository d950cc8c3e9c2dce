"""How far two pictures are apart, and what an encoder leaves of one."""

import io

import numpy as np
import pytest
from PIL import Image
from tests.review.renders import picture

from darkroom.review.pair.measures import EQUAL, flip_map, measure
from darkroom.review.pair.picture_file import ENCODINGS, as_encoded


def test_equal_pictures():
    assert measure(picture(), picture()) == EQUAL
    assert EQUAL.psnr is None


def test_every_second_row_brighter_by_two_levels():
    measures = measure(picture(), picture(shift=2))
    assert (measures.max_abs, measures.mean_abs) == (2, 1.0)
    assert measures.psnr == pytest.approx(45.12, abs=0.005)  # 10·log10(255² / 2)
    assert measures.ssim == pytest.approx(0.9928, abs=5e-5)
    assert measures.flip == pytest.approx(0.0388, abs=5e-5)


def test_dark_pixels_do_not_wrap_around():
    black, white = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)
    for one, other in ((black, white), (white, black)):
        measures = measure(one, other)
        assert (measures.max_abs, measures.mean_abs, measures.psnr) == (255, 255.0, 0.0)
        assert measures.flip == pytest.approx(1.0, abs=0.05)


def test_peak_signal_to_noise_is_that_of_scikit_image():
    from skimage.metrics import peak_signal_noise_ratio

    expected = peak_signal_noise_ratio(picture(), picture(shift=9), data_range=255)
    assert measure(picture(), picture(shift=9)).psnr == pytest.approx(expected)


def test_the_error_map_shows_where():
    changed = picture()
    changed[20:28, 40:48] = 255
    errors = flip_map(picture(), changed)
    assert errors.shape == (48, 64)
    assert errors[24, 44] > 0.3 > 0.01 > errors[24, 4]


def test_pictures_smaller_than_a_window():
    assert 0 < measure(picture()[:4, :5], picture(shift=9)[:4, :5]).ssim < 1


@pytest.mark.parametrize("image_format", ["JPEG", "WEBP"])
def test_an_encoding_is_that_of_a_trainer_who_gave_nothing_but_a_path(image_format):
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(buffer, image_format)
    with Image.open(buffer) as image:
        expected = np.asarray(image)
    encoded = as_encoded(picture(), ENCODINGS[image_format])
    assert np.array_equal(encoded, expected)
    assert not np.array_equal(encoded, picture())
