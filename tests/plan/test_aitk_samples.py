"""Sample files by their names, and the sets that they were made in."""

import time
from pathlib import Path

import pytest

from darkroom.plan.aitk_samples import SampleFile, SampleSet, first_sets, read_name, sample_files, sample_sets


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
    ("sizes", "then_baseline", "are_first"),
    [
        ([2, 3], True, [True, False]),
        ([2, 3, 2, 3], True, [True, False, True, False]),
        ([1, 2, 3], True, [True, True, False]),  # stopped while it made the first
        ([2, 1, 2, 3], True, [True, False, True, False]),  # stopped while it made the second
        ([2, 2], False, [True, True]),
        ([], True, []),
    ],
)
def test_which_sets_of_step_0_are_of_first_sample(sizes: list[int], then_baseline: bool, are_first: object) -> None:
    sets = [SampleSet(0, tuple(of(*((0, 100 * n + i, i) for i in range(size))))) for n, size in enumerate(sizes)]
    assert first_sets(sets, first_count=2, then_baseline=then_baseline) == are_first


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
    begun = time.monotonic()
    files, _ = sample_files(tmp_path)
    assert len(sample_sets(files)) == 1000
    assert time.monotonic() - begun < 2
