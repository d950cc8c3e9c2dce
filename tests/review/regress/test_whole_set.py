"""Pictures each within their floor, and all of them a little far: what is said of the set, and whether it fails."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from tests.review.renders import THRESHOLDS, picture, preview, render

from darkroom.review.pair.measures import EQUAL, Measures
from darkroom.review.regress.compare import compare_all
from darkroom.review.regress.junit import junit
from darkroom.review.regress.step_summary import step_summary
from darkroom.review.regress.summary import failed, summary
from darkroom.review.regress.whole_set import FEWEST, WholeSet

REPEATS = tuple(Measures(max_abs=3, mean_abs=0.5, psnr=psnr, ssim=0.99, flip=0.01) for psnr in (46.0, 47.0, 48.0, 49.0))
SAID = "5 pictures, on average 2.50 dB farther from their previews than their repeats (p = 0.00032)"


@pytest.fixture
def within(tmp_path):
    """A picture within its floor, whose repeats are 46 to 49 dB off."""
    row = render(tmp_path, picture(shift=2))
    [comparison] = compare_all("strength", [row], [preview(tmp_path, row, picture())], {"demo": THRESHOLDS})
    return replace(comparison, repeats=REPEATS)


def at(within, *psnrs):
    """Pictures that are so many dB from their previews."""
    return [replace(within, psnr=psnr) for psnr in psnrs]


def test_a_set_that_is_as_far_as_its_repeats_passes(within):
    comparisons = at(within, 46.1, 47.2, 47.9, 49.1, 45.8, 47.5, 48.0, 48.5)
    assert WholeSet.of(comparisons).p > 0.3
    assert not failed(comparisons)
    assert summary(comparisons) == "8 previews: 8 within floor"


def test_a_set_that_is_farther_as_a_whole_fails_and_says_so_everywhere(within):
    comparisons = at(within, 45.0, 45.0, 45.0, 45.0, 45.0)
    assert failed(comparisons)
    assert summary(comparisons) == f"5 previews: 5 within floor; as a whole farther than rounding explains: {SAID}"
    [suite] = ElementTree.fromstring(junit(comparisons, {}))
    assert (suite.get("tests"), suite.get("failures")) == ("6", "1")
    assert suite.find("testcase[@classname='whole set']/failure").get("message") == SAID
    assert step_summary(comparisons, {"experiment": "strength"}, {}).startswith("### strength: failed\n")


def test_it_takes_five_pictures_to_say_so(within):
    assert FEWEST == 5
    assert WholeSet.of(at(within, 45.0, 45.0, 45.0, 45.0)).p == pytest.approx(5**-4)
    assert not failed(at(within, 45.0, 45.0, 45.0, 45.0))


def test_every_picture_may_be_nearer_than_some_repeat_and_the_set_still_too_far(within):
    """46.2 dB is nearer than one repeat of four; eight such pictures are chance, twenty are not."""
    assert not failed(at(within, *[46.2] * 8))
    assert failed(at(within, *[46.2] * 20))


def test_one_picture_that_is_far_off_makes_no_set(within):
    assert WholeSet.of(at(within, 20.0, 47.5, 47.5, 47.5, 47.5, 47.5)).p > 0.1


def test_equal_repeats_and_pictures_without_a_known_floor(within):
    equal = replace(within, repeats=(EQUAL,) * 4)
    assert WholeSet.of([equal] * 5).mean == 10.0, "10 dB of a picture count"
    unknown = WholeSet.of([replace(within, repeats=())] * 12)
    assert (unknown.pictures, unknown.p, unknown.fails) == (0, 1.0, False)
