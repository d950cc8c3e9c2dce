"""What follows from trials: one factor named, several, or none."""

import math

from darkroom.review.trial_results import MeasuredTrial, conclusion
from darkroom.trials import Outcome


def tried(factor, psnr):
    return MeasuredTrial(Outcome(factor, f"{factor} in conf", factor, f"{factor}.png"), psnr, 1.0)


def as_it_is(psnr, change=""):
    """`change`: where conf/ asks for another size than the preview has."""
    return MeasuredTrial(Outcome("as it is", change, "base", "base.png", is_baseline=True), psnr, 1.0)


BASE = as_it_is(20.0)


def test_the_one_that_makes_it_identical():
    assert conclusion(BASE, [tried("seed: 43", math.inf), tried("steps", 21.0)]) == [
        "Closest: seed: 43, from 20.00 dB to identical.",
        "  in conf/: seed: 43 in conf",
    ]


def test_closer_but_not_all_of_it():
    assert conclusion(BASE, [tried("schedule: diffusers", 30.0)])[-1] == (
        "It is not the whole of it: the pixels are not the preview's."
    )


def test_several_that_are_as_close():
    lines = conclusion(BASE, [tried("a", 30.2), tried("b", 30.0), tried("c", 29.0)])
    assert lines[2:4] == ["As close, so that pictures cannot tell them apart:", "  b (30.00 dB): b in conf"]
    assert not any("c in conf" in line for line in lines)


def test_none_explains_it():
    assert conclusion(BASE, [tried("a", 20.4), tried("b", 12.0)])[0] == (
        "None of the 2 that were tried explains it: the closest, a, gains 0.40 dB."
    )
    assert conclusion(BASE, [tried("a", 19.0)])[0].endswith("the closest, a, does not gain anything.")


def test_nothing_to_explain_and_nothing_to_compare():
    assert conclusion(as_it_is(math.inf), [tried("a", math.inf)]) == [
        "The picture is the preview's as it is: there is nothing to explain."
    ]
    assert conclusion(None, []) == ["Nothing that could be tried can be compared with the preview."]


def test_without_the_picture_as_it_is_no_gain_is_told():
    assert conclusion(None, [tried("seed: 43", 20.0)]) == [
        "The picture as it is was not measured (see below), so no gain can be told; the nearest, seed: 43: 20.00 dB."
    ]


def test_at_another_size_gains_are_measured_from_the_picture_at_that_size():
    resized = as_it_is(20.0, "width: 512")
    size = [
        "The preview has another size. At that size the picture as it is: 20.00 dB; all else is tried at it.",
        "  in conf/: width: 512",
    ]
    assert conclusion(resized, [tried("seed: 43", math.inf)]) == [
        *size,
        "Closest: seed: 43, from 20.00 dB to identical.",
        "  in conf/: seed: 43 in conf",
    ]
    assert conclusion(resized, [tried("a", 20.4)])[2] == (
        "None of the 1 that were tried explains it: the closest, a, gains 0.40 dB."
    )
    assert conclusion(as_it_is(math.inf, "width: 512"), [tried("a", 20.4)]) == [
        "The preview has another size. At that size the picture as it is: identical; nothing else is otherwise.",
        "  in conf/: width: 512",
    ]
