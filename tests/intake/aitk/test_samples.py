"""Sample files by their names, and the sets that they were made in."""

import time
from pathlib import Path

import pytest

from darkroom.intake.aitk.samples import SampleFile, SampleSet, first_sets, read_name, sample_files, sample_sets


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("1750000000000__000000250_0.jpg", (1750000000000, 250, 0)),
        ("1750000000000__000000250_12.png", (1750000000000, 250, 12)),
        ("1750000000000__000000000_3.webp", (1750000000000, 0, 3)),
        ("1750000000000__1000000000_3.jpeg", (1750000000000, 1000000000, 3)),
        ("1750000000000_000000250_0.jpg", None),
        ("1750000000000__250_0.jpg", None),
        ("1750000000000__000000250.jpg", None),
        ("1750000000000__000000250_0.jpg.txt", None),
        ("1750000000000__000000250_0.gif", None),
        ("99999999999999999999__000000250_0.jpg", None),
        ("٣__000000250_0.jpg", None),
    ],
)
def test_names(name: str, read: object) -> None:
    assert read_name(name) == read


def of(*files: tuple[int, int, int]) -> list[SampleFile]:
    return [SampleFile(step, ms, index, Path(f"{ms}__{step:09d}_{index}.jpg")) for step, ms, index in files]


def shape(sets: list[SampleSet]) -> list[tuple[int, list[tuple[int, int]]]]:
    return [(one.step, [(file.ms, file.index) for file in one.files]) for one in sets]


@pytest.mark.parametrize(
    ("files", "sets"),
    [
        ([(0, 1, 0), (0, 2, 1), (250, 3, 0)], [(0, [(1, 0), (2, 1)]), (250, [(3, 0)])]),
        # first_sample, then the baseline
        ([(0, 1, 0), (0, 2, 0), (0, 3, 1)], [(0, [(1, 0)]), (0, [(2, 0), (3, 1)])]),
        # the same step again after a resume; other steps in between
        ([(250, 1, 0), (500, 2, 0), (250, 3, 0)], [(250, [(1, 0)]), (250, [(3, 0)]), (500, [(2, 0)])]),
        # a set that was cut short, and one whose beginning somebody deleted
        ([(250, 1, 0), (250, 2, 1), (250, 9, 1), (250, 10, 2)], [(250, [(1, 0), (2, 1)]), (250, [(9, 1), (10, 2)])]),
        ([], []),
    ],
)
def test_sets(files: list[tuple[int, int, int]], sets: object) -> None:
    assert shape(sample_sets(of(*files))) == sets


@pytest.mark.parametrize(
    ("indices", "then_count", "origins"),
    [
        (["01", "012"], 3, ["first", "then"]),
        (["01", "012", "01", "012"], 3, ["first", "then", "first", "then"]),
        (["01", "01"], 2, ["first", "then"]),
        (["01", "01"], 0, ["first", "first"]),  # without a baseline
        (["0", "01", "012"], 3, ["first?", "first", "then"]),  # stopped while it made the first
        (["01", "0", "01", "012"], 3, ["first", "then", "first", "then"]),  # stopped while it made the second
        # a picture of the first is lost
        (["0", "012"], 3, ["first", "then"]),
        (["0", "01"], 2, ["first?", "first?"]),
        (["0", "01", "01"], 2, ["first?", "first?", "first?"]),
        # all of the first, or its last and the baseline's first
        (["012"], 3, ["then?"]),
        (["01"], 3, ["first?"]),
        (["1"], 1, ["first"]),
        ([], 3, []),
    ],
)
def test_which_section_made_a_set_of_step_0(indices: list[str], then_count: int, origins: list[str]) -> None:
    """`first_sample` has two prompts; ? where pictures that are lost leave it open."""
    sets = [SampleSet(0, tuple(of(*((0, int(index), int(index)) for index in each)))) for each in indices]
    found = first_sets(sets, first_count=2, then_count=then_count)
    said = [("first" if origin.is_first else "then") + ("" if origin.is_certain else "?") for origin in found]
    assert said == origins


def test_a_folder(tmp_path: Path) -> None:
    for name in ("3__000000000_1.jpg", "2__000000000_0.png", "notes.txt", ".DS_Store"):
        (tmp_path / name).touch()
    for name in (".thumbs", ".tmp", "9__000000000_0.jpg"):
        (tmp_path / name).mkdir()
    files, others = sample_files(tmp_path)
    assert [file.path.name for file in files] == ["2__000000000_0.png", "3__000000000_1.jpg"]
    assert [other.name for other in others] == ["9__000000000_0.jpg", "notes.txt"]
    assert files[0].made_at == "1970-01-01T00:00:00+00:00"
    assert sample_files(tmp_path / "gone") == ([], [])


def test_ten_thousand_are_quick(tmp_path: Path) -> None:
    for step in range(0, 10_000, 10):
        for index in range(10):
            (tmp_path / f"{1_750_000_000_000 + step * 10 + index}__{step:09d}_{index}.jpg").touch()
    begun = time.process_time()
    files, _ = sample_files(tmp_path)
    assert len(sample_sets(files)) == 1000
    assert time.process_time() - begun < 2
