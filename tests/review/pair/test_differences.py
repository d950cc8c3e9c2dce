"""Which recorded facts of a preview and a render are said to differ."""

from darkroom.review.pair.differences import Difference, differences

THEN = {"seed": 7, "checkpoint": "results/store/demo/klein", "checkpoint_digest": "aa", "loras": []}


def test_weights_of_one_digest_are_the_same_wherever_they_lie():
    assert differences(THEN, {**THEN, "checkpoint": "/opt/klein"}) == ()
    assert differences(THEN, {**THEN, "checkpoint": "/opt/klein", "checkpoint_digest": "bb"}) == (
        Difference("checkpoint", "results/store/demo/klein", "/opt/klein"),
        Difference("checkpoint_digest", "aa", "bb"),
    )


def test_where_no_digest_is_known_the_place_is_a_fact():
    then = {"checkpoint": "someone/klein"}
    assert differences(then, {"checkpoint": "/opt/klein", "checkpoint_digest": "aa"}) == (
        Difference("checkpoint", "someone/klein", "/opt/klein"),
    )
