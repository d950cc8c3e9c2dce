"""Files of records joined into the manifest."""

import json
from dataclasses import replace

import pytest
from tests.places import DATA

from darkroom.errors import Problems, StoreError
from darkroom.record import Cost, Environment, Record, read_records, write_records
from darkroom.request import Request
from darkroom.review.manifest import write_manifest

REQUEST = Request.from_json(json.loads((DATA / "record/request.json").read_text()))
ENVIRONMENT = Environment("cpu", None, "sdpa", 2, "2.13.0", "0.42.1", "5.23.0", "0.1.0")
COST = Cost(4711, "b41f", 3.25, 0.5, 2.0, 0.25, 0.125, None, "resident", "fits", "2026-01-02T03:04:05Z")


def records(path, lora, indices, experiment="strength"):
    requests = [replace(REQUEST, lora=lora, index=i, experiment=experiment) for i in indices]
    rows = [Record(r, ENVIRONMENT, (), (1.0, 0.0), "a.png", "ab", "png", False, COST).row() for r in requests]
    write_records(path, rows, {})
    return path


def test_rows_are_sorted_whatever_the_order_of_the_files(tmp_path):
    files = [records(tmp_path / "b.parquet", "none", [1, 0]), records(tmp_path / "a.parquet", "anna", [10, 9])]
    assert write_manifest(files, tmp_path / "manifest.parquet") == 4
    rows, metadata = read_records(tmp_path / "manifest.parquet")
    assert [(row["lora"], row["index"]) for row in rows] == [("anna", 9), ("anna", 10), ("none", 0), ("none", 1)]
    assert metadata == {"darkroom_version": "0.1.0", "experiment": "strength"}


def test_all_unusable_files_are_named_together(tmp_path):
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    files = [records(tmp_path / "a.parquet", "anna", [0]), tmp_path / "b.parquet", tmp_path / "c.parquet"]
    with pytest.raises(
        Problems, match=r"2 problems:\n.*b\.parquet: not a whole Parquet file .*\n.*c\.parquet: missing"
    ):
        write_manifest(files, tmp_path / "manifest.parquet")
    assert not (tmp_path / "manifest.parquet").exists()


def test_records_of_another_experiment_are_refused(tmp_path):
    files = [records(tmp_path / f"{name}.parquet", "anna", [0], name) for name in ("one", "two")]
    with pytest.raises(StoreError, match="expected records of one experiment, got 2: one, two"):
        write_manifest(files, tmp_path / "manifest.parquet")


def test_no_records_at_all(tmp_path):
    with pytest.raises(StoreError, match="no files of records were given"):
        write_manifest([], tmp_path / "manifest.parquet")
