"""Which step a score speaks for, and whether it can tell."""

from darkroom.review.scores.best import best

CLEAR = {
    "250": {scene: 0.2 + scene / 100 for scene in range(8)},
    "500": {scene: 0.5 + scene / 100 for scene in range(8)},
    "750": {scene: 0.49 + (scene % 2) / 20 for scene in range(8)},
}


def test_the_leader_is_told_with_its_interval_and_who_may_be_as_good() -> None:
    found = best(CLEAR, "higher")
    assert found is not None
    assert (found.leader, found.rivals, round(found.mean, 3)) == ("500", ("750",), 0.535)
    assert 0.50 < found.low < 0.535 < found.high < 0.57
    assert str(found).endswith("; 750 may be as good")
    assert str(best(CLEAR, "lower")).endswith("ahead of all others")


def test_differences_count_on_the_same_prompts_and_seeds() -> None:
    """Prompts differ by far more than the steps do, which are always in the same order."""
    scores = {step: {scene: 10.0 * scene + ahead for scene in range(8)} for step, ahead in (("1", 0.0), ("2", 0.1))}
    found = best(scores, "higher")
    assert found is not None
    assert (found.leader, found.rivals) == ("2", ())


def test_few_pictures_tell_nothing() -> None:
    few = {step: {scene: values[scene] for scene in range(3)} for step, values in CLEAR.items()}
    assert str(best(few, "higher")).endswith("3 prompts and seeds are too few to tell")
    assert best({"250": CLEAR["250"]}, "higher") is None
    assert best({"250": {1: 0.5}, "500": {2: 0.5}}, "higher") is None
