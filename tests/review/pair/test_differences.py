"""Which recorded facts of a preview and a render are said to differ."""

from tests.examples.record import LORA, REQUEST, embedded

from darkroom.review.pair.differences import Difference, differences

THEN = {"seed": 7, "checkpoint": "results/store/demo/klein", "checkpoint_digest": "aa"}


def test_weights_of_one_digest_are_the_same_wherever_they_lie():
    elsewhere = REQUEST.changed(checkpoint="/opt/klein", checkpoint_digest="aa")
    assert differences(THEN, embedded(elsewhere)) == ()
    assert differences(THEN, embedded(elsewhere.changed(checkpoint_digest="bb"))) == (
        Difference("checkpoint", "results/store/demo/klein", "/opt/klein"),
        Difference("checkpoint_digest", "aa", "bb"),
    )


def test_a_file_of_one_digest_is_the_same_whether_or_not_its_trainer_was_recorded():
    then = {"path": "anna.safetensors", "sha256": LORA.sha256, "network_multiplier": 0.5, "trainer": "ai-toolkit 0.8.1"}
    assert differences({"loras": [then]}, embedded()) == ()


def test_where_no_digest_is_known_the_place_is_a_fact():
    render = embedded(REQUEST.changed(checkpoint="/opt/klein", checkpoint_digest="aa"))
    assert differences({"checkpoint": "someone/klein"}, render) == (
        Difference("checkpoint", "someone/klein", "/opt/klein"),
    )
