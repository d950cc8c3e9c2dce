"""What is read of a picks file, and what is said of one that is none."""

import json
from pathlib import Path

import pytest

from darkroom.errors import ConfigError, Problems, VersionError
from darkroom.review.choosing.picks_file import (
    Mark,
    Picks,
    Vote,
    merged,
    read_all_picks,
    read_picks,
    shared_names,
    write_picks,
)

A, B = "a" * 64, "b" * 64
MARK = {"rating": 4, "star": True, "reject": False, "note": "hands", "at": "2026-11-28T17:00:00.000Z"}
VOTE = {"winner": A, "loser": B, "at": "2026-11-28T17:01:00.000Z"}


def picks(**changes):
    """A file as the page exports it; `changes` to its one person."""
    return {
        "format": 1,
        "experiment": "star_pick",
        "people": [{"who": "Anna", "marks": {A: MARK}, "votes": [VOTE], **changes}],
    }


def written(folder: Path, content: object, name: str = "picks.json") -> Path:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / name


def together(paths):
    return merged("star_pick", read_all_picks(paths, "star_pick").values())


def test_a_file_says_who_said_what_of_which_picture(tmp_path):
    (anna,) = read_picks(written(tmp_path, picks()), "star_pick").people
    assert (anna.who, anna.marks[A], anna.votes) == ("Anna", Mark(**MARK), (Vote(**VOTE),))


def test_a_name_that_two_people_may_have_is_told_of(tmp_path):
    files = [written(tmp_path, picks(), "1.json"), written(tmp_path, picks(), "copy.json")]
    assert list(shared_names(read_all_picks(files, "star_pick"))) == []
    files.append(written(tmp_path, picks(marks={B: MARK}), "other.json"))
    (said,) = shared_names(read_all_picks(files, "star_pick"))
    assert said.endswith("copy.json and " + f"{files[2]}, taken for one person; of a picture the latest mark counts")


def test_of_one_persons_files_the_latest_mark_counts_and_each_vote_once(tmp_path):
    later = MARK | {"rating": 2, "at": "2026-11-28T18:00:00.000Z"}
    first = written(tmp_path, picks(), "1.json")
    second = written(tmp_path, picks(marks={A: later}, votes=[VOTE, VOTE]), "2.json")
    for order in ([first, second], [second, first]):
        (anna,) = together(order).people
        assert (anna.marks[A].rating, len(anna.votes)) == (2, 1)


def test_of_two_marks_the_later_counts_wherever_their_clocks_stood(tmp_path):
    earlier = MARK | {"rating": 1, "at": "2026-11-28T21:30:00+05:00"}  # half past four in UTC
    for first, second in ((MARK, earlier), (earlier, MARK)):
        files = [written(tmp_path, picks(marks={A: mark}), f"{n}.json") for n, mark in enumerate((first, second))]
        (anna,) = together(files).people
        assert anna.marks[A] == Mark(**MARK)


def test_what_is_written_is_read_again_whoever_is_in_it(tmp_path):
    both = together([written(tmp_path, picks(), "1.json"), written(tmp_path, picks(who="Ben"), "2.json")])
    write_picks(tmp_path / "merged.json", both)
    assert read_picks(tmp_path / "merged.json", "star_pick") == both
    assert [person.who for person in both.people] == ["Anna", "Ben"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"format": 1, "exper', "damaged, or no JSON (column"),
        ("[]", "expected a picks file, with format, experiment and people"),
        (picks() | {"scores": []}, "expected a picks file, with format, experiment and people"),
        (picks(votes=[VOTE | {"at": "0001-01-01T00:00+05:00"}]), "people[0].votes[0].at: expected a time of ISO 8601"),
        (picks() | {"format": "1"}, "format: expected 1, got '1'"),
        (picks() | {"experiment": "portraits"}, "picks of experiment 'portraits', not of 'star_pick'"),
        (picks() | {"people": {}}, "people: expected a list, got {}"),
        (picks(who=" "), "people[0].who: expected a name, got ' '"),
        (picks(marks={"abc": MARK}), "people[0].marks: expected a request id of 64 hex digits, got 'abc'"),
        (picks(marks={A: MARK | {"rating": 6}}), "rating: expected a whole number from 1 to 5, or null, got 6"),
        (picks(marks={A: MARK | {"rating": True}}), "rating: expected a whole number from 1 to 5, or null, got True"),
        (picks(marks={A: {"rating": 3}}), "expected an object of rating, star, reject, note, at, got ['rating']"),
        (
            picks(votes=[VOTE | {"at": "today"}]),
            "people[0].votes[0].at: expected a time of ISO 8601 with its zone, got 'today'",
        ),
    ],
)
def test_a_file_that_is_no_picks_of_the_experiment_is_a_sentence(tmp_path, content, said):
    with pytest.raises(ConfigError, match=r"picks\.json: ") as refusal:
        read_picks(written(tmp_path, content), "star_pick")
    assert said in str(refusal.value)


def test_faults_of_several_files_are_told_together(tmp_path):
    bad = [written(tmp_path, picks(who=""), "1.json"), tmp_path / "2.json"]
    with pytest.raises(Problems) as refusal:
        read_all_picks(bad, "star_pick")
    assert "1.json: people[0].who" in str(refusal.value)
    assert "2.json: no such file" in str(refusal.value)


def test_a_newer_versions_file_is_refused(tmp_path):
    with pytest.raises(VersionError, match="of format 2, so a newer Darkroom wrote it"):
        read_picks(written(tmp_path, picks() | {"format": 2, "scores": []}), "star_pick")


def test_a_mark_that_was_taken_back_says_nothing(tmp_path):
    empty = MARK | {"rating": None, "star": False, "note": ""}
    (anna,) = read_picks(written(tmp_path, picks(marks={A: empty}, votes=[])), "star_pick").people
    assert anna.pictures == ()
    assert Picks("star_pick", (anna,)).to_json()["format"] == 1
