"""What several people's picks come to, by checkpoint and strength."""

import pytest
from tests.review.choosing.sweep import EXPERIMENT, ids, sweep

from darkroom.errors import ConfigError
from darkroom.review.choosing.picks_file import Mark, Person, Picks, Vote
from darkroom.review.choosing.tally import tally
from darkroom.review.choosing.told import told


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return sweep(tmp_path_factory.mktemp("training"))


def person(who="Anna", marks=None, votes=()):
    timed = tuple(Vote(f"2026-11-28T17:{n:02}:00Z", *vote) for n, vote in enumerate(votes))
    return Person(who, marks or {}, timed)


def lines(rows, *people):
    picks = Picks(EXPERIMENT, people)
    return told(picks, tally(rows, picks)).splitlines()


def test_a_table_has_a_line_for_each_checkpoint_at_each_strength(rows):
    cat, dog = ids(rows, 500, 1.0)
    marks = {cat: Mark(rating=5, star=True), dog: Mark(rating=2, reject=True, note="two tails")}
    assert lines(rows, person(marks=marks), person("Ben", {cat: Mark(rating=4)}))[:8] == [
        "star_pick: picks of Anna, Ben",
        "",
        "step  LoRA            strength  pictures  rated  mean  stars  rejects  won  95 %",
        "      none                             2",
        " 250  star_000000250       0.5         2",
        " 250  star_000000250         1         2",
        " 500  star_000000500       0.5         2",
        " 500  star_000000500         1         2      3  3.67      1        1",
    ]


def test_the_best_is_named_where_the_votes_allow_it(rows):
    better, worse = ids(rows, 500, 1.0)[0], ids(rows, 250, 1.0)[0]
    said = lines(rows, person(votes=[(better, worse)] * 6))
    assert "Best: star_000000500 at 1, ahead of the other at 95 %, by 6 votes." in said
    assert any("6 of 6" in line and "61–100" in line for line in said)
    assert "Without a vote: none (no LoRA), star_000000250 at 0.5, star_000000500 at 0.5." in said


def test_without_enough_votes_no_best_is_named(rows):
    better, worse = ids(rows, 500, 1.0)[0], ids(rows, 250, 1.0)[0]
    said = lines(rows, person(votes=[(better, worse)] * 2))
    assert "No best yet: star_000000500 at 1 leads, and by 2 votes star_000000250 at 1 may be as good." in said
    assert any("Nobody voted" in line for line in lines(rows, person()))


def test_what_does_not_count_is_said(rows):
    cat = ids(rows, 500, 1.0)[0]
    gone = {"f" * 64: Mark(rating=1), cat: Mark(rating=3)}
    said = lines(rows, person(marks=gone, votes=[(cat, ids(rows, 250, 1.0)[1])]))
    assert (
        "Without effect: 1 of the 3 pictures of Anna, which the experiment has not, or not any more: ffffffffffff"
        in said
    )
    assert "Without effect: 1 vote between pictures of different prompts or seeds" in said


def test_picks_of_another_run_are_refused(rows):
    with pytest.raises(ConfigError, match="none of the 1 pictures of these picks is in the manifest of star_pick"):
        lines(rows, person(marks={"f" * 64: Mark(rating=1)}))
