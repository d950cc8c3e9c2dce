"""What explain says of a picture beside its preview."""

from pathlib import Path

import pytest
from tests.review.renders import picture, preview, render

from darkroom.previews import floors_file, previews_file, write_previews
from darkroom.review.explain import explain
from darkroom.review.pair.measures import Measures
from darkroom.review.pair.own_floor import FloorKey, OwnFloor, add_floors
from darkroom.store import RESULTS, ExperimentFolder
from darkroom.thresholds import ModelThresholds, write_thresholds


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
def test_a_picture_s_own_floor_is_told_in_whichever_format_it_is(tmp_path, monkeypatch, image_format):
    monkeypatch.chdir(tmp_path)
    row = render(tmp_path, picture(), image_format=image_format)
    write_previews(previews_file("strength"), "strength", [preview(tmp_path, row, picture(40))])
    limits = {row.key.model: ModelThresholds(source="conf/compare/default.yaml", own_floor=2.0)}
    write_thresholds(ExperimentFolder(RESULTS / "strength").thresholds, limits)
    key, repeat = FloorKey.of(row, None), Measures(max_abs=3, mean_abs=0.5, psnr=46.5, ssim=0.99, flip=0.01)
    add_floors(floors_file("strength"), "strength", [OwnFloor(**key._asdict(), repeats=(repeat,) * 4)])

    text = explain(Path(row.image_path))

    assert "its own floor: 4 nudged repeats 46.50, 46.50, 46.50 and 46.50 dB from the render" in text
