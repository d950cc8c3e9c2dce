"""Files of records joined into the manifest."""

import pytest
from tests.examples.record import REQUEST, record

from darkroom.errors import Problems, StoreError
from darkroom.record.rows import read_records, write_records
from darkroom.review.manifest import write_manifest


def records(path, lora, indices, experiment="strength"):
    requests = [REQUEST.changed(lora=lora, index=i, experiment=experiment) for i in indices]
    write_records(path, [record(request) for request in requests], {})
    return path


def test_rows_are_sorted_whatever_the_order_of_the_files(tmp_path):
    files = [records(tmp_path / "b.parquet", "none", [1, 0]), records(tmp_path / "a.parquet", "anna", [10, 9])]
    assert write_manifest(files, tmp_path / "manifest.parquet") == 4
    found, metadata = read_records(tmp_path / "manifest.parquet")
    assert [(each.request.title.lora, each.request.title.index) for each in found] == [
        ("anna", 9),
        ("anna", 10),
        ("none", 0),
        ("none", 1),
    ]
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
