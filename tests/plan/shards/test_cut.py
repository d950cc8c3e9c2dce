"""Rows of combinations, cut into stretches that are about as long."""

import pytest

from darkroom.errors import ConfigError
from darkroom.plan.shards.compose import read_size
from darkroom.plan.shards.cut import cut


def test_a_row_is_cut_into_stretches_of_the_size():
    assert cut([2] * 12, 12) == [range(0, 6), range(6, 12)]


def test_what_is_left_over_is_spread_over_all():
    assert [len(stretch) for stretch in cut([20] * 100, 300)] == [14, 15, 14, 14, 14, 15, 14]
    assert [len(stretch) for stretch in cut([20] * 17, 300)] == [17], "a fifth more than the size is no job of its own"


def test_sizes_of_4000_combinations_are_within_a_fifth():
    sizes = [20 * len(stretch) for stretch in cut([20] * 4000, 300)]
    assert len(sizes) == 267
    assert min(sizes) >= 240
    assert max(sizes) <= 360


def test_a_combination_longer_than_the_size_is_a_stretch_by_itself():
    assert cut([800, 800, 10], 300) == [range(0, 1), range(1, 2), range(2, 3)]
    assert cut([10], 300) == [range(0, 1)]
    assert cut([], 300) == []


@pytest.mark.parametrize("said", [5, "300", ["images"]])
def test_what_says_no_size_is_told(said):
    with pytest.raises(ConfigError, match=r"^set-resources: shard: expected images or minutes in it, got "):
        read_size(said)
