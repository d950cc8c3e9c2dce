"""Intervals and rankings of votes, held against values that others have published."""

import numpy as np
import pytest

from darkroom.review.choosing.ranking import bradley_terry, ranked, wilson


@pytest.mark.parametrize(
    ("won", "of", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),  # R: prop.test(8, 10, correct = FALSE)
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (15, 148, 0.0624, 0.1605),  # Newcombe (1998), table I
        (0, 0, 0.0, 1.0),
    ],
)
def test_a_share_of_votes_has_wilsons_interval(won, of, low, high):
    assert wilson(won, of) == pytest.approx((low, high), abs=5e-5)


def test_strengths_are_those_of_a_published_example_of_bradley_and_terry():
    wins = np.array([[0, 2, 0, 1], [3, 0, 5, 0], [0, 3, 0, 1], [4, 0, 3, 0]], dtype=float)  # Wikipedia's
    worth = np.exp(bradley_terry(wins, prior=0).values)
    assert worth == pytest.approx([0.640, 1.043, 0.660, 2.270], abs=5e-4)


def test_of_two_the_strengths_are_the_log_odds_with_their_standard_error():
    difference, error = bradley_terry(np.array([[0.0, 9.0], [1.0, 0.0]]), prior=0).difference(0, 1)
    assert difference == pytest.approx(np.log(9))
    assert error == pytest.approx(1 / np.sqrt(10 * 0.9 * 0.1))


def test_who_won_every_vote_is_not_infinitely_strong():
    assert bradley_terry(np.array([[0.0, 5.0], [0.0, 0.0]])).difference(0, 1)[0] < 10


def test_of_two_the_leader_is_the_best_where_the_interval_is_above_a_half():
    assert ranked([("a", "b")] * 5, "ab").rivals == ()
    few = ranked([("b", "a")] * 3, "ab")
    assert (few.leader, few.rivals) == ("b", ("a",))


def test_of_several_the_best_is_ahead_of_each_other():
    one_round = [("c", "a"), ("c", "b"), ("a", "b"), ("b", "a")]
    clear = ranked(one_round * 12, "abc")
    assert (clear.leader, clear.rivals) == ("c", ())
    unclear = ranked(one_round, "abc")
    assert unclear.leader == "c"
    assert set(unclear.rivals) == {"a", "b"}


def test_who_has_no_vote_is_not_ranked_and_without_votes_nobody_is():
    assert ranked([("a", "b")] * 9, "abc").rivals == ()
    assert ranked([], "abc") is None


def test_where_only_some_can_be_taken_votes_against_the_others_count_all_the_same():
    through_c = ([("a", "c")] * 9 + [("c", "b")] * 9) * 2
    assert ranked(through_c, "abc").leader == "a"
    among = ranked(through_c, "abc", eligible="ab")
    assert (among.leader, among.rivals) == ("a", ())
    assert ranked(through_c, "abcd", eligible="d") is None
