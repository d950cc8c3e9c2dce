"""Faults that `make faults` makes: what they do to files, and one short round of real runs."""

from pathlib import Path
from random import Random

import pytest

from disturbance.damage import DAMAGES
from disturbance.kinds import KINDS
from disturbance.rounds import Ground, Round, played, table


def test_a_file_is_damaged_the_same_way_by_the_same_seed(tmp_path: Path) -> None:
    content, path = bytes(range(1, 251)) * 8, tmp_path / "file"
    damaged = {}
    for damage in DAMAGES:
        for _ in ("at first", "again"):
            path.write_bytes(content)
            damage(path, Random("one"))
            assert damaged.setdefault(damage.__name__, path.read_bytes()) == path.read_bytes()
    sizes = {name: (len(data), data.count(0)) for name, data in damaged.items()}
    assert sizes["truncated"][0] < 2000
    assert sizes["truncated"][1] == 0
    assert sizes["zeroed_tail"] == (2000, 2000 - sizes["truncated"][0])
    assert sizes["zeroed_block"] == (2000, 512)


def test_kinds_have_names_of_their_own() -> None:
    names = [kind.name for kind in KINDS]
    assert len({*names}) == len(names)


def test_what_mounts_or_has_a_cgroup_needs_root() -> None:
    assert {kind.name for kind in KINDS if kind.needs_root} == {
        "a full file system",
        "a file system without room for more files",
        "a full folder for temporary files",
        "a full folder of logs",
        "results/ on another file system, and its store on a third one",
        "a read-only store",
        "little memory",
    }


def test_the_table_has_the_worst_of_each_kind() -> None:
    rounds = [
        Round("SIGINT", 1, 9.0, runs=1, wrong=()),
        Round("SIGINT", 2, 9.0, runs=2, wrong=("left behind: 0.sock",)),
        Round("two runs at once", 3, 9.0, runs=0, wrong=()),
    ]
    assert table(rounds).splitlines()[2:] == ["| SIGINT | 2 | 2 | 1 |", "| two runs at once | 1 | 0 | 0 |"]


@pytest.mark.slow
def test_pictures_whose_ends_are_zeros_are_rendered_again_and_no_others(tmp_path: Path) -> None:
    (result,) = played(Ground(tmp_path), 1, "a", "a picture of the store, zeroed tail")
    assert result.wrong == ()
    assert result.runs == 0, "the run that meets the damage mends it"
