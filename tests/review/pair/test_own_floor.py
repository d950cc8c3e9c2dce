"""How far nudged repeats are from their picture, what a render may be off by then, and the file that keeps it."""

from dataclasses import replace

import pytest
from tests.examples.record import ENVIRONMENT

from darkroom.errors import StoreError
from darkroom.review.pair.measures import EQUAL, Measures
from darkroom.review.pair.own_floor import OwnFloor, add_floors, allowed, is_in_doubt, is_wide, read_floors, told

AT = Measures(max_abs=3, mean_abs=0.5, psnr=48.0, ssim=0.99, flip=0.01)
FOUR = (AT, replace(AT, psnr=46.5), EQUAL, replace(AT, psnr=50.25))
FLOOR = OwnFloor(
    request_id="5" * 64, image_format="png", encoding="JPEG quality 75, 4:2:0", repeats=FOUR, environment=ENVIRONMENT
)


def test_the_farthest_repeat_half_their_spread_and_a_margin_are_allowed():
    """46.5 dB, 3.75 dB from the nearest that is not equal."""
    assert allowed(FOUR, 1.0) == 46.5 - 3.75 / 2 - 1.0
    assert allowed(FOUR * 4, 1.0) == pytest.approx(46.5 - 3.75 / 14 - 1.0)
    assert told(FOUR) == "4 nudged repeats 48.00, 46.50, ∞ (equal) and 50.25 dB from the render"


def test_repeats_that_are_all_identical_allow_nothing_but_equality():
    assert allowed((EQUAL,) * 4, 1.0) is None
    assert not is_wide((EQUAL,) * 4, 1.0)


def test_a_floor_is_wide_where_it_allows_twice_the_distance_of_the_mean_repeat():
    """48.25 dB, and allowed are 43.625; with a fifth repeat, at 44 dB, 47.2 and 40.9."""
    assert not is_wide(FOUR, 1.0)
    assert is_wide((*FOUR[:3], replace(AT, psnr=50.25), replace(AT, psnr=44.0)), 1.0)


def test_four_repeats_leave_a_picture_in_doubt_that_is_a_little_beyond_its_floor():
    """Which is at 43.625 dB."""
    assert [is_in_doubt(psnr, FOUR, 1.0) for psnr in (44.0, 43.6, 37.7, 37.6)] == [False, True, True, False]
    assert not is_in_doubt(43.6, FOUR * 4, 1.0), "sixteen leave none"
    assert not is_in_doubt(43.6, (EQUAL,) * 4, 1.0)


def test_floors_are_kept_by_picture_machine_and_encoding(tmp_path):
    file, elsewhere = tmp_path / "floors.parquet", replace(FLOOR, environment=replace(ENVIRONMENT, gpu_name="another"))
    assert read_floors(file) == {}
    add_floors(file, "nightly", [FLOOR])
    add_floors(file, "nightly", [elsewhere, replace(FLOOR, encoding=None)])
    assert list(read_floors(file).values()) == [FLOOR, elsewhere, replace(FLOOR, encoding=None)]


def test_what_is_known_already_leaves_the_file_as_it_is(tmp_path):
    file = tmp_path / "floors.parquet"
    add_floors(file, "nightly", [FLOOR])
    before = file.stat().st_mtime_ns
    assert add_floors(file, "nightly", [replace(FLOOR, repeats=(AT,) * 4)]) == {FLOOR.key: FLOOR}
    assert file.stat().st_mtime_ns == before


def test_a_closer_look_takes_the_place_of_one_before(tmp_path):
    file, closer = tmp_path / "floors.parquet", replace(FLOOR, repeats=FOUR * 4)
    add_floors(file, "nightly", [FLOOR])
    assert add_floors(file, "nightly", [closer]) == {FLOOR.key: closer}
    assert add_floors(file, "nightly", [FLOOR]) == {FLOOR.key: closer}


def test_a_damaged_file_is_told_with_the_cure(tmp_path):
    file = tmp_path / "floors.parquet"
    file.write_bytes(b"PAR1")
    with pytest.raises(StoreError, match=r"delete it, and darkroom regress renders the repeats again"):
        read_floors(file)
