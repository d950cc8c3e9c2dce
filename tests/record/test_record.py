"""A record as a row, in Parquet, and the part of it that goes into the picture."""

import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path, PurePath

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tests.examples.record import LORA, REQUEST, embedded, record
from tests.places import DATA

from darkroom.errors import ImageError, StoreError, VersionError
from darkroom.files.columns import columns_of, groups_of, schema_of, value_of
from darkroom.record.circumstances import Cost, Environment
from darkroom.record.embedded import read_embedded_record
from darkroom.record.rows import NOT_RENDERED, Failure, Record, read_records, read_rows, write_records
from darkroom.request.parts import Lora, ReferenceImage
from darkroom.request.request import Request


def test_the_public_form_of_a_record_names_no_folder():
    home = "/home/someone/"
    request = REQUEST.changed(
        checkpoint=f"{home}klein",
        text_encoder=f"{home}clip + {home}t5",
        prompt_embeds=f"{home}a.safetensors",
        ctrl_images=(ReferenceImage(f"{home}pose.png", "77"),),
        loras=(Lora(f"{home}anna.safetensors", 0.5, "55"),),
        not_comparable=(f"{home}anna.safetensors is an adapter of another base",),
        warnings=(f"{home}pose.png: resized",),
    )
    use = replace(LORA, path=f"{home}anna.safetensors", warning=f"{home}anna.safetensors: 3 of its keys")
    use = replace(use, dead=f"{home}anna.safetensors: changes nothing")
    whole = record(request, (use,))
    public = whole.public
    assert json.dumps(whole.row()).count("someone") == 13
    assert "someone" not in json.dumps(public.row())
    assert (public.request.source.checkpoint, public.request.source.text_encoder) == ("klein", "clip + t5")
    assert public.request.remarks.warnings[0] == "pose.png: resized"
    assert (public.loras[0].path, public.loras[0].warning) == ("anna.safetensors", "anna.safetensors: 3 of its keys")
    assert public.loras[0].dead == "anna.safetensors: changes nothing"
    assert (public.request.request_id, public.request_id) == (whole.request.request_id, whole.request_id)
    assert public.public == public


def test_a_record_names_files_below_the_working_folder_from_there():
    request = REQUEST.changed(
        checkpoint="/home/anna/klein",
        text_encoder="/home/anna/clip + Qwen/Qwen3-4B",
        ctrl_images=(ReferenceImage("/elsewhere/pose.png", "77"),),
        loras=(Lora("/home/anna/jobs/anna.safetensors", 0.5, "55"),),
        warnings=("/home/anna/jobs/anna.safetensors: changes nothing",),
    )
    use = replace(LORA, path="/home/anna/jobs/anna.safetensors")
    seen = record(request, (use,)).seen_from(PurePath("/home/anna"))
    assert (seen.request.source.checkpoint, seen.request.source.text_encoder) == ("klein", "clip + Qwen/Qwen3-4B")
    assert seen.request.sampling.ctrl_images[0].path == "/elsewhere/pose.png"
    assert (seen.loras[0].path, seen.request.adapters.loras[0].path) == ("jobs/anna.safetensors",) * 2
    assert seen.request.remarks.warnings == ("jobs/anna.safetensors: changes nothing",)
    assert seen.request.request_id == request.request_id
    assert seen.public == record(request, (use,)).public


def test_the_public_form_keeps_a_repository_of_the_hub():
    request = REQUEST.changed(checkpoint="black-forest-labs/FLUX.2-klein-base-4B", checkpoint_revision="fd1f")
    assert record(request).public.request.source.checkpoint == "black-forest-labs/FLUX.2-klein-base-4B"


def test_a_row_has_plain_values_under_the_columns_of_the_manifest():
    row = record().row()
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
            "tool": "",
            "dead": None,
            "trainer": None,
            "step": None,
        }
    ]
    assert (row["width_requested"], row["width"], row["seconds_load"], row["reused"]) == (70, 64, 3.25, False)
    assert value_of(Record, row) == record()


def test_every_part_of_a_record_is_a_group_of_columns():
    groups = groups_of(Record)
    assert [*groups] == [*(part.name for part in fields(Request)), "environment", "file", "cost"]
    assert groups["adapters"] == ["loras", "lora_merge", "allow_foreign_lora"]
    assert groups["environment"] == [part.name for part in fields(Environment)]
    assert groups["file"] == ["image_path", "image_sha256", "image_format", "reused", "latents_path", "status", "error"]


def test_a_picture_that_failed_has_a_row_with_the_reason_and_without_a_picture(tmp_path):
    failed = Failure.of(REQUEST, "anna.safetensors: holds NaN or infinity")
    write_records(tmp_path / "m.parquet", [failed, record()], {})
    (first, second), _ = read_rows(tmp_path / "m.parquet")
    assert (first, second) == (failed, record())
    assert read_records(tmp_path / "m.parquet")[0] == (record(),)
    (row, done) = pq.read_table(tmp_path / "m.parquet").to_pylist()
    assert (row["status"], row["error"]) == ("failed", "anna.safetensors: holds NaN or infinity")
    assert (row["image_path"], row["reused"], row["device"], row["sigmas"]) == (None, None, None, None)
    assert row["prompt"] == done["prompt"]
    assert (done["status"], done["error"]) == ("done", None)


def test_a_picture_that_had_no_turn_has_a_row_of_its_own_status(tmp_path):
    no_turn = Failure.of(REQUEST, "not rendered: the run ended before it was its turn", NOT_RENDERED)
    write_records(tmp_path / "m.parquet", [no_turn], {})
    assert read_rows(tmp_path / "m.parquet")[0] == (no_turn,)
    assert pq.read_table(tmp_path / "m.parquet").column("status").to_pylist() == ["not rendered"]


def test_a_reused_image_has_cost_nothing():
    reused = record(reused=True, cost=None)
    assert [reused.row()[f.name] for f in fields(Cost)] == [None] * 13
    assert value_of(Record, reused.row()) == reused


def test_an_adapter_that_changes_nothing_is_a_warning_and_may_be_compared():
    made = embedded(loras=(replace(LORA, dead="anna.safetensors: changes nothing"),))
    assert made.request.remarks.warnings[-1] == "anna.safetensors: changes nothing"
    assert made.request.remarks.not_comparable == embedded().request.remarks.not_comparable


def test_an_adapter_of_another_base_is_a_warning_and_a_reason_for_no_comparison():
    made = embedded(loras=(replace(LORA, left_out_keys=2, warning="an adapter of FLUX.1: 2 keys left out"),))
    assert made.request.remarks.warnings[-1] == "an adapter of FLUX.1: 2 keys left out"
    assert made.request.remarks.not_comparable == ("jobs/anna/anna.safetensors is an adapter of another base",)


def test_the_embedded_record_lacks_what_a_second_run_would_change():
    values = embedded().to_json()
    outcome = {"status", "error", "image_path", "image_sha256", "image_format", "latents_path", "reused"}
    assert columns_of(Record).keys() - values.keys() == outcome | {f.name for f in fields(Cost)}
    assert values.keys() - columns_of(Record).keys() == {"format"}
    assert json.loads(json.dumps(values)) == values


def test_rows_come_back_from_parquet_as_they_were(tmp_path):
    hostile = REQUEST.changed(
        loras=(), prompt='a "b" <c>\n\0 🐈 שלום', axes=(("neg", "x"), ("seed", None)), warnings=()
    )
    records = (record(), record(hostile, (), cost=None, latents_path="l.safetensors"))
    write_records(tmp_path / "new" / "r.parquet", records, {"experiment": "strength"})
    assert read_records(tmp_path / "new" / "r.parquet") == (records, {"experiment": "strength"})
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["r.parquet"]


def test_columns_are_typed():
    types = {field.name: (str(field.type), field.nullable) for field in schema_of(Record)}
    assert types["seed"] == ("int64", False)
    assert types["gpu_name"] == ("string", True)
    assert types["sigmas"][0].startswith("list<")
    assert types["peak_memory_bytes"] == ("int64", True)


def test_damaged_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "r.parquet"
    with pytest.raises(StoreError, match=r"r\.parquet: missing; run Snakemake again"):
        read_records(path)
    write_records(path, [record()], {})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match=r"r\.parquet: not a whole Parquet file .*; delete it"):
        read_records(path)
    pq.write_table(pa.table({"seed": [1], "colour": ["red"]}), path)
    with pytest.raises(StoreError, match=r"r\.parquet: not the columns .*missing: \['exp.*, unknown: \['colour'\]\)"):
        read_records(path)
    wrong = schema_of(Record).set(schema_of(Record).get_field_index("seed"), pa.field("seed", pa.string()))
    pq.write_table(wrong.empty_table(), path)
    with pytest.raises(StoreError, match=r"\(expected seed: int64, got string\); delete it and run Snakemake"):
        read_records(path)


class TestVersions:
    """Files and pictures of commit 93b3d14, which said no version, and of one that is yet to come."""

    def test_the_columns_of_the_first_version_are_those_that_were_there_before_versions(self):
        """A column that was added later says `since`: files without it are read all the same."""
        first = {name for name, column in columns_of(Record).items() if column.since == 1}
        assert first == set(pq.read_schema(DATA / "record/manifest_unversioned.parquet").names)

    def test_a_manifest_of_before_is_read(self):
        (found,), metadata = read_records(DATA / "record/manifest_unversioned.parquet")
        assert metadata == {"experiment": "strength", "darkroom_version": "0.1.0"}
        assert found == record(image_path="results/strength/images/demo/anna/portraits/0000_7.png")

    def test_a_picture_of_before_is_read(self):
        assert read_embedded_record(DATA / "record/picture_unversioned.png") == embedded()

    def test_what_an_older_table_lacks_is_null_or_has_its_default(self, tmp_path):
        table = pq.read_table(DATA / "record/manifest_unversioned.parquet")
        pq.write_table(table.drop_columns(["peak_memory_bytes", "gpu_name", "noise_device"]), tmp_path / "r.parquet")
        (found,), _ = read_records(tmp_path / "r.parquet")
        assert (found.cost.peak_memory_bytes, found.environment.gpu_name, found.request.sampling.noise_device) == (
            None,
            None,
            "cpu",
        )

    def test_what_every_version_has_must_be_there(self, tmp_path):
        table = pq.read_table(DATA / "record/manifest_unversioned.parquet")
        pq.write_table(table.drop_columns(["seed"]), tmp_path / "r.parquet")
        with pytest.raises(
            StoreError, match=r"\(missing: \['seed'\], unknown: \[\]\); delete it and run Snakemake again"
        ):
            read_records(tmp_path / "r.parquet")

    def test_a_file_lacks_nothing_of_the_version_that_it_says(self, tmp_path):
        write_records(tmp_path / "r.parquet", [record()], {})
        pq.write_table(pq.read_table(tmp_path / "r.parquet").drop_columns(["memory_plan"]), tmp_path / "r.parquet")
        with pytest.raises(StoreError, match=r"missing: \['memory_plan'\]"):
            read_records(tmp_path / "r.parquet")

    def test_a_table_of_a_newer_version_is_refused(self, tmp_path):
        rewrite(tmp_path / "r.parquet", {"colour": "red"}, {"format": "9"})
        with pytest.raises(
            VersionError,
            match=r"r\.parquet: of format 9, so a newer Darkroom wrote it; this one reads 6 and older: "
            "update it, or delete it and run Snakemake again",
        ):
            read_records(tmp_path / "r.parquet")

    def test_a_picture_of_a_newer_version_is_refused(self, tmp_path):
        path = picture(tmp_path, embedded().to_json() | {"format": 9, "colour": "red"})
        with pytest.raises(VersionError, match=r"a\.png: of format 9, so a newer Darkroom wrote it; this one reads 6"):
            read_embedded_record(path)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"colour": "red"}, r"its record is not one of Darkroom \(missing: \[\], unknown: \['colour'\]\)"),
            ({"seed": "7"}, "its record: seed: expected a whole number, got 7; render it again"),
            ({"seed": None}, "its record: seed: expected a whole number, got null"),
            ({"loras": [{"path": "a"}]}, "its record: loras: network_multiplier is missing"),
            ({"format": "png"}, "its record: expected a number for format, got 'png'"),
        ],
    )
    def test_a_record_that_is_none_of_ours_is_refused(self, tmp_path, change, said):
        with pytest.raises(ImageError, match=rf"a\.png: {said}"):
            read_embedded_record(picture(tmp_path, embedded().to_json() | change))

    def test_a_record_lacks_nothing_that_has_no_default(self, tmp_path):
        values = {name: value for name, value in embedded().to_json().items() if name not in ("format", "seed")}
        with pytest.raises(ImageError, match=r"\(missing: \['seed'\], unknown: \[\]\)"):
            read_embedded_record(picture(tmp_path, values))


def test_importing_the_file_imports_neither_pyarrow_nor_torch():
    program = "import sys, darkroom.record.rows; print({'pyarrow', 'torch', 'numpy', 'PIL'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "set()\n"


def picture(folder: Path, values: dict[str, object]) -> Path:
    """A picture with any record in it."""
    text = PngInfo()
    text.add_itxt("darkroom", json.dumps(values))
    Image.new("RGB", (64, 48)).save(folder / "a.png", pnginfo=text)
    return folder / "a.png"


def rewrite(path: Path, more: dict[str, str], metadata: dict[str, str]) -> None:
    """A manifest with further columns, as another version may have them."""
    table = pa.Table.from_pylist([record().row()], schema=schema_of(Record))
    for name, value in more.items():
        table = table.append_column(name, [[value]])
    pq.write_table(table.replace_schema_metadata(metadata), path)
