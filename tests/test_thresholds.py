"""Limits on their way from plan to review."""

import json
from dataclasses import fields, replace

import pytest
from tests.examples.record import ENVIRONMENT

from darkroom.errors import StoreError
from darkroom.thresholds import (
    Limits,
    ModelThresholds,
    Thresholds,
    read_thresholds,
    write_thresholds,
)

KLEIN = ModelThresholds(
    source="conf/compare/klein.yaml",
    psnr=46.0,
    encoded=Limits(psnr=36.5, flip=0.06),
    learned="2026-01-02: 8 pictures rendered 3 times, the worst difference x 1.5",
    environment=replace(ENVIRONMENT, device="cuda", gpu_name="NVIDIA H100"),
)


def test_they_come_back_as_they_were_written(tmp_path):
    write_thresholds(tmp_path / "thresholds.json", {"klein": KLEIN})
    assert read_thresholds(tmp_path / "thresholds.json") == {"klein": KLEIN}


def test_a_file_of_another_version_is_refused(tmp_path):
    (tmp_path / "thresholds.json").write_text(
        json.dumps({"klein": {"source": "conf/compare/klein.yaml", "lpips": 0.1}})
    )
    with pytest.raises(StoreError, match=r"thresholds\.json: of another version of Darkroom .*lpips.*; run Snakemake"):
        read_thresholds(tmp_path / "thresholds.json")


def test_lossy_previews_have_limits_of_their_own():
    lossy, others = KLEIN.of_previews(lossy=True), KLEIN.of_previews(lossy=False)
    assert (lossy.asked, lossy.lossy) == ({"psnr": 36.5, "flip": 0.06}, True)
    assert (others.asked, others.lossy) == ({"psnr": 46.0}, False)
    assert others.of_previews(lossy=True) == others, "where nothing is said of lossy ones"


def test_a_file_of_conf_has_no_source():
    assert {field.name for field in fields(ModelThresholds)} - {field.name for field in fields(Thresholds)} == {
        *("source", "lossy"),
    }
