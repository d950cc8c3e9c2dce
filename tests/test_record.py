"""A record as a row, in Parquet, and the part of it that goes into the picture."""

import json
import subprocess
import sys
from dataclasses import fields, replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.places import DATA

from darkroom.errors import StoreError
from darkroom.record import (
    COLUMNS,
    Cost,
    Environment,
    LoraUse,
    Record,
    embedded_record,
    read_records,
    schema,
    write_records,
)
from darkroom.request import Request

REQUEST = Request.from_json(json.loads((DATA / "record/request.json").read_text()))
ENVIRONMENT = Environment("cpu", None, "sdpa", 2, "2.13.0", "0.42.1", "5.23.0", "0.1.0")
LORAS = (LoraUse("jobs/anna/anna.safetensors", "5555555555aaaaaa", 0.5, "ai-toolkit", 96),)
COST = Cost(4711, "b41f", 3.25, 0.5, 2.0, 0.25, 0.125, None, "resident", "fits", "2026-01-02T03:04:05Z")
RECORD = Record(REQUEST, ENVIRONMENT, LORAS, (1.0, 0.5, 0.0), "images/0000_7.png", "ab" * 32, "png", False, COST)


def test_row_has_the_columns_of_the_manifest_in_their_order():
    row = RECORD.row()
    assert list(row) == list(COLUMNS)
    assert row["request_id"] == REQUEST.request_id
    assert row["status"] == "done"
    assert row["axes"] == [{"name": "network_multiplier", "value": "0.5"}, {"name": "seed", "value": "7"}]
    assert row["loras"] == [
        {
            "path": "jobs/anna/anna.safetensors",
            "sha256": "5555555555aaaaaa",
            "network_multiplier": 0.5,
            "format": "ai-toolkit",
            "matched_keys": 96,
            "left_out_keys": 0,
            "warning": None,
        }
    ]
    assert (row["width_requested"], row["width"], row["seconds_load"], row["reused"]) == (70, 64, 3.25, False)
    assert Environment.from_row(row) == ENVIRONMENT


def test_every_parameter_of_a_request_is_a_column():
    assert {f.name for f in fields(Request)} <= COLUMNS.keys()


def test_a_reused_image_has_cost_nothing():
    row = replace(RECORD, reused=True, cost=None).row()
    assert [row[f.name] for f in fields(Cost)] == [None] * 11


def test_the_embedded_record_lacks_what_a_second_run_would_change():
    embedded = embedded_record(REQUEST, ENVIRONMENT, LORAS, (1.0, 0.5, 0.0))
    outcome = {"status", "image_path", "image_sha256", "image_format", "latents_path", "reused"}
    assert COLUMNS.keys() - embedded.keys() == outcome | {f.name for f in fields(Cost)}
    assert json.loads(json.dumps(embedded)) == embedded
    assert embedded.items() <= RECORD.row().items()


def test_rows_come_back_from_parquet_as_they_were(tmp_path):
    hostile = replace(REQUEST, prompt='a "b" <c>\n\0 🐈 שלום', axes=(("neg", "x"), ("seed", None)), warnings=())
    rows = [RECORD.row(), replace(RECORD, request=hostile, loras=(), cost=None, latents_path="l.safetensors").row()]
    write_records(tmp_path / "new" / "r.parquet", rows, {"experiment": "strength"})
    assert read_records(tmp_path / "new" / "r.parquet") == (rows, {"experiment": "strength"})
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["r.parquet"]


def test_columns_are_typed():
    types = {field.name: (str(field.type), field.nullable) for field in schema()}
    assert types["seed"] == ("int64", False)
    assert types["gpu_name"] == ("string", True)
    assert types["sigmas"][0].startswith("list<")
    assert types["peak_memory_bytes"] == ("int64", True)


@pytest.mark.parametrize("change", [{"unknown": 1}, {"seed": None}, {"seed": "seven"}])
def test_a_row_of_another_shape_is_refused_and_nothing_written(tmp_path, change):
    with pytest.raises((ValueError, TypeError)):
        write_records(tmp_path / "r.parquet", [{**RECORD.row(), **change}], {})
    assert list(tmp_path.iterdir()) == []


def test_damaged_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "r.parquet"
    with pytest.raises(StoreError, match=r"r\.parquet: missing; run Snakemake again"):
        read_records(path)
    write_records(path, [RECORD.row()], {})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match=r"r\.parquet: not a whole Parquet file .*; delete it"):
        read_records(path)
    pq.write_table(pa.table({"seed": [1]}), path)
    with pytest.raises(StoreError, match=r"r\.parquet: not the columns of this version of Darkroom \(missing: \['exp"):
        read_records(path)
    wrong = schema().set(schema().get_field_index("seed"), pa.field("seed", pa.string()))
    pq.write_table(wrong.empty_table(), path)
    with pytest.raises(StoreError, match=r"not the column types .* \(expected seed: int64\)"):
        read_records(path)


def test_importing_the_file_imports_neither_pyarrow_nor_torch():
    program = "import sys, darkroom.record; print({'pyarrow', 'torch', 'numpy', 'PIL'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "set()\n"
