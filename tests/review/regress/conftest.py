"""A comparison of four pictures, as those who tell of one begin with it."""

import pytest
from tests.review.renders import THRESHOLDS, picture, preview, render

from darkroom.review.regress.compare import compare_all


@pytest.fixture(scope="module")
def comparisons(tmp_path_factory):
    """Identical, drifted, missing, not reproducible: pictures 0 to 3."""
    folder = tmp_path_factory.mktemp("renders")
    rows = [render(folder, picture(shift=shift), index) for index, shift in enumerate((0, 40, 0, 0))]
    stored = [
        preview(folder, rows[0], picture()),
        preview(folder, rows[1], picture(), then={"seed": 8}),
        preview(folder, rows[3], picture(), reason="seed -1: drawn by the trainer"),
    ]
    return compare_all("strength", rows, stored, {"demo": THRESHOLDS})
