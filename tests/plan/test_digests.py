"""The plan job: digests filled in, and what only the files themselves can tell."""

import json

import pytest
from PIL import Image
from tests.places import DATA

from darkroom.checkpoint import DIFFUSERS, SINGLE_FILE, Checkpoint, Component
from darkroom.errors import ImageError, StoreError
from darkroom.files.weight_file import sha256_of
from darkroom.plan.digests import complete, write_requests
from darkroom.planned import PlannedCombination
from darkroom.request.parts import ReferenceImage
from darkroom.request.request import Request
from darkroom.store import Store

ASKED = Request.from_json(json.loads((DATA / "record/request.json").read_text()))
REQUEST = ASKED.changed(loras=(), lora_merge="merged", lora_merge_reason="auto: the base is not quantised")


def draft(request: Request) -> PlannedCombination:
    return PlannedCombination(asked="", lost="", output={}, lora_merge="auto", requests=(request,))


def checkpoint(quantized: str | None = None) -> Checkpoint:
    transformer = Component("klein.safetensors", SINGLE_FILE, "t1", quantized=quantized)
    return Checkpoint(
        "klein", None, {"transformer": transformer, "vae": Component("ae.safetensors", SINGLE_FILE, "v1")}
    )


def test_a_file_of_8_bits_takes_adapters_live_and_is_no_trainers(tmp_path):
    made = complete(REQUEST, "auto", checkpoint("8-bit float"), Store(tmp_path).sha256)
    assert (made.adapters.lora_merge, made.remarks.lora_merge_reason) == (
        "live",
        "auto: the file of the transformer is quantised (8-bit float)",
    )
    assert made.remarks.not_comparable == ("the file of the transformer is quantised (8-bit float)",)
    assert (
        complete(REQUEST, "merged", checkpoint("8-bit float"), Store(tmp_path).sha256).adapters.lora_merge == "merged"
    )
    assert complete(REQUEST, "auto", checkpoint(), Store(tmp_path).sha256).adapters.lora_merge == "merged"


def test_beside_compiled_blocks_they_stay_merged_for_the_reason_that_there_is(tmp_path):
    compiled = REQUEST.changed(numerics="fast", compiled_blocks=True)
    made = complete(compiled, "auto", checkpoint("8-bit float"), Store(tmp_path).sha256)
    assert (made.adapters.lora_merge, made.remarks.lora_merge_reason) == (
        "merged",
        "auto: compiled blocks take no adapters beside them",
    )


def test_files_are_known_by_their_content(tmp_path):
    picture = tmp_path / "a.png"
    Image.new("RGB", (64, 64)).save(picture)
    made = complete(
        REQUEST.changed(ctrl_images=(ReferenceImage(str(picture)),)), "auto", checkpoint(), Store(tmp_path).sha256
    )
    assert made.sampling.ctrl_images == (ReferenceImage(str(picture), sha256_of(picture)),)
    assert (made.base.checkpoint_digest, made.encoder.text_encoder_digest) == ("t1+v1", "")


def test_a_transformer_in_one_file_is_known_by_that_file(tmp_path):
    assert complete(REQUEST, "auto", checkpoint(), Store(tmp_path).sha256).source.transformer_sha256 == "t1"
    folder = tmp_path / "klein"
    folder.mkdir()
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(b"weights")
    parts = {
        "transformer": Component(str(folder), DIFFUSERS, "t1"),
        "vae": Component("ae.safetensors", SINGLE_FILE, "v1"),
    }
    made = complete(REQUEST, "auto", Checkpoint("klein", None, parts), Store(tmp_path).sha256)
    assert made.source.transformer_sha256 == sha256_of(folder / "diffusion_pytorch_model.safetensors")
    index = {"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    assert (
        complete(REQUEST, "auto", Checkpoint("klein", None, parts), Store(tmp_path).sha256).source.transformer_sha256
        is None
    )


def test_a_damaged_reference_image_stops_the_plan(tmp_path):
    Image.effect_noise((256, 256), 50).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:20_000])
    request = REQUEST.changed(ctrl_images=(ReferenceImage(str(tmp_path / "cut.png")),))
    draft(request).write(tmp_path / "draft.json")
    (tmp_path / "checkpoint.json").write_text(json.dumps(checkpoint().to_json()))
    with pytest.raises(ImageError, match=r"cut\.png: cut off: expected .*; render or copy it again"):
        write_requests(tmp_path / "draft.json", tmp_path / "checkpoint.json", tmp_path / "out.json", Store(tmp_path))
    assert not (tmp_path / "out.json").exists()


def test_an_image_that_lost_its_alpha_channel_since_conf_was_read_stops_the_plan(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.inpaint.png")
    image = ReferenceImage(str(tmp_path / "a.inpaint.png"))
    request = REQUEST.changed(family="flex2", ctrl_images=(image,), ctrl_idx=0)
    draft(request).write(tmp_path / "draft.json")
    (tmp_path / "checkpoint.json").write_text(json.dumps(checkpoint().to_json()))
    with pytest.raises(ImageError, match=r"a\.inpaint\.png: has no alpha channel \(it is RGB\), and ctrl_idx 0 is for"):
        write_requests(tmp_path / "draft.json", tmp_path / "checkpoint.json", tmp_path / "out.json", Store(tmp_path))


def test_a_draft_of_another_version_says_so(tmp_path):
    path = tmp_path / "draft.json"
    path.write_text(json.dumps({"asked": "", "lost": "", "output": {}, "requests": [REQUEST.row()]}))
    said = r"draft\.json: of another version of Darkroom \(title: expected .*\); run Snakemake again"
    with pytest.raises(StoreError, match=said):
        PlannedCombination.read(path)
