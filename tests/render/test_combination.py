"""One combination rendered in this process: what is kept, what is refused, in which order weights change."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tests.examples.identity import write_identity
from tests.examples.record import read_record
from tests.render.bench import Bench, MakeRequest

from darkroom.errors import CheckpointError, NoRecordError, PictureError, StoreError, VersionError
from darkroom.files.atomic import atomic
from darkroom.files.content import write_content
from darkroom.files.images.image_file import with_record, without_record
from darkroom.files.weight_file import sha256_of
from darkroom.job_errors import read_job_error
from darkroom.named_picture import read_record_of
from darkroom.provenance.claim import read_claim
from darkroom.record.embedded import read_embedded_record
from darkroom.render.combination import render_combination
from darkroom.render.families.flux2 import flux2
from darkroom.render.progress import Progress
from darkroom.request.parts import Lora, ReferenceImage
from darkroom.store import ExperimentFolder


def rewrite(picture: Path, record: dict[str, Any]) -> None:
    """Another record in a picture of the store."""
    write_content(picture, with_record(picture.read_bytes(), record))


def test_a_second_job_takes_everything_from_the_store(bench: Bench, make_request: MakeRequest) -> None:
    requests = [bench.request(make_request, seed=seed) for seed in (1, 2)]
    first, seen = bench.render(*requests)
    again, _ = bench.render(*requests)
    assert [row["reused"] for row in first] == [False, False]
    assert [row["reused"] for row in again] == [True, True]
    assert [row["image_sha256"] for row in again] == [row["image_sha256"] for row in first]
    assert [row["seconds_denoise"] for row in again] == [None, None]
    assert [(progress.done, progress.total) for progress in seen] == [(0, 2), (1, 2), (2, 2)]


def test_what_an_interrupted_attempt_has_rendered_keeps_its_cost_and_the_next_run_only_finds_it(
    bench: Bench, make_request: MakeRequest
) -> None:
    requests = [bench.request(make_request, seed=seed) for seed in (1, 2, 3)]
    job = bench.write(*requests)

    def interrupt(progress: Progress) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_combination(job, bench.pipelines, interrupt)
    before = {path.name: path.stat().st_mtime_ns for path in bench.store.root.rglob("*.png")}
    assert len(before) == 2
    resumed, seen = bench.render(*requests)
    assert [progress.done for progress in seen] == [2, 3]
    assert [row["reused"] for row in resumed] == [False, False, False]
    assert None not in [row["seconds_denoise"] for row in resumed]
    assert len({row["base_load_id"] for row in resumed}) == 1
    again, _ = bench.render(*requests)
    assert [row["base_load_id"] for row in again] == [None, None, None]


def test_what_another_process_renders_meanwhile_is_not_rendered_again(bench: Bench, make_request: MakeRequest) -> None:
    """A second worker with the same pictures before it: what this one has begun it leaves, and finds in the end."""
    requests = [bench.request(make_request, seed=seed) for seed in (1, 2)]
    job, seen = bench.write(*requests), list[int]()

    def other(progress: Progress) -> None:
        seen.append(progress.done)
        if progress.done == 1 and len(seen) == 2:  # the first is with the device, the second about to be
            stored = bench.store.image(requests[1].request_id, "png", 95)
            elsewhere = Bench(bench.folder / "elsewhere", bench.checkpoint)
            elsewhere.render(elsewhere.request(make_request, seed=2))
            shutil.copy(next(elsewhere.store.root.rglob("*.png")), stored)

    render_combination(job, bench.pipelines, other)
    assert [row["reused"] for row in bench.records()] == [False, True]


def test_equal_requests_are_rendered_once(bench: Bench, make_request: MakeRequest) -> None:
    request = bench.request(make_request)
    rows, _ = bench.render(request, request)
    assert sorted(row["reused"] for row in rows) == [False, True]
    for row in rows:
        path = Path(row["image_path"])
        record = read_embedded_record(path).embedded_row()
        assert record == {key: row[key] for key in record}, "each picture carries the record of its own row"
        assert row["image_sha256"] == sha256_of(path)
    pictures = [np.asarray(Image.open(row["image_path"])) for row in rows]
    assert np.array_equal(*pictures)


def test_a_damaged_picture_is_rendered_again(bench: Bench, make_request: MakeRequest) -> None:
    request = bench.request(make_request)
    (before,), _ = bench.render(request)
    stored = bench.store.image(request.request_id, "png", 95)
    whole = stored.read_bytes()
    stored.chmod(0o644)
    stored.write_bytes(whole[:-100])
    (after,), _ = bench.render(request)
    assert (after["reused"], after["image_sha256"]) == (False, before["image_sha256"])


def test_a_picture_of_an_older_version_is_not_rendered_again(bench: Bench, make_request: MakeRequest) -> None:
    """Its record says no version, and lacks columns that came since: it is stored all the same, and shown as it is."""
    request = bench.request(make_request)
    bench.render(request)
    stored = bench.store.image(request.request_id, "png", 95)
    older = {name: value for name, value in read_record(stored).items() if name not in ("format", "gpu_name")}
    rewrite(stored, older)
    (row,), _ = bench.render(request)
    assert (row["reused"], row["gpu_name"]) == (True, None)
    assert Path(row["image_path"]).samefile(stored)


def test_a_picture_of_a_newer_version_is_neither_used_nor_lost(bench: Bench, make_request: MakeRequest) -> None:
    request = bench.request(make_request)
    bench.render(request)
    stored = bench.store.image(request.request_id, "png", 95)
    rewrite(stored, read_record(stored) | {"format": 9, "colour": "red"})
    with pytest.raises(VersionError, match=r"\.png: of format 9, so a newer Darkroom wrote it"):
        bench.render(request)
    assert read_record(stored)["colour"] == "red"


def test_another_format_is_another_file_and_the_old_link_goes(bench: Bench, make_request: MakeRequest) -> None:
    request = bench.request(make_request)
    bench.render(request)
    (row,), _ = bench.render(request, format="webp", save_latents=True)
    names = sorted(file.name for file in Path(row["image_path"]).parent.iterdir())
    assert names == ["000_42.safetensors", "000_42.webp"]
    assert read_embedded_record(Path(row["image_path"])).request_id == request.request_id


def test_a_public_picture_names_no_folder_and_the_store_keeps_the_whole_record(
    bench: Bench, make_request: MakeRequest, adapters: Path
) -> None:
    path = adapters / "lora_bf16.safetensors"
    request = bench.request(make_request, loras=(Lora(str(path), 1.0, sha256_of(path)),))
    (whole,), _ = bench.render(request)
    with Image.open(whole["image_path"]) as image:
        pixels = image.tobytes()
    for _ in ("from the store", "again"):
        (row,), _ = bench.render(request, metadata="public")
        shown = Path(row["image_path"])
        assert row["loras"][0]["path"] == str(path)
        assert row["image_sha256"] == sha256_of(shown)
        with Image.open(shown) as image:
            assert image.tobytes() == pixels
            assert str(path.parent) not in str(image.info)
        assert read_embedded_record(shown).loras[0].path == "lora_bf16.safetensors"
        assert row["reused"]
    stored = bench.store.image(request.request_id, "png", 95)
    assert read_embedded_record(stored).loras[0].path == str(path)
    stored.unlink()
    (row,), _ = bench.render(request, metadata="public")
    assert (row["reused"], row["image_sha256"]) == (False, sha256_of(shown))
    (row,), _ = bench.render(request)
    assert shown.samefile(stored)


def test_a_picture_names_files_below_the_working_folder_from_there(
    bench: Bench, make_request: MakeRequest, adapters: Path
) -> None:
    shutil.copy(adapters / "lora_bf16.safetensors", path := bench.folder / "mine.safetensors")
    request = bench.request(make_request, loras=(Lora(str(path), 1.0, sha256_of(path)),))
    for is_reused in (False, True):
        (row,), _ = bench.render(request)
        shown = Path(row["image_path"])
        assert (row["reused"], row["image_sha256"]) == (is_reused, sha256_of(shown))
        (use,) = read_embedded_record(shown).loras
        assert (use.path, use.trainer) == ("mine.safetensors", "ai-toolkit of unknown version")
        assert str(bench.folder).encode() not in shown.read_bytes()
    stored = bench.store.image(request.request_id, "png", 95)
    assert read_embedded_record(stored).loras[0].path == str(path), "which another working folder finds it by"


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
def test_a_picture_without_metadata_says_nothing_and_its_record_is_in_the_manifest(
    bench: Bench, make_request: MakeRequest, image_format: str
) -> None:
    request = bench.request(make_request)
    (row,), _ = bench.render(request, format=image_format, metadata="none")
    shown, stored = Path(row["image_path"]), bench.store.image(request.request_id, image_format, 95)
    assert (row["reused"], row["image_sha256"]) == (False, sha256_of(shown))
    with Image.open(shown) as image, Image.open(stored) as whole:
        assert image.tobytes() == whole.tobytes()
        assert image.info.keys().isdisjoint({"darkroom", "parameters", "exif", "xmp", "comment"})
    for said in (b"arkroom", "arkroom".encode("utf-16-be"), b"a cat", b"Steps", b"xpacket", b"Exif"):
        assert said not in shown.read_bytes()
    with pytest.raises(NoRecordError, match="nor in a manifest"):
        read_record_of(shown)
    shutil.copy(bench.folder / "records.parquet", bench.folder / "results/bench/manifest.parquet")
    assert read_record_of(shown) == read_embedded_record(stored).reused_for(request.changed(image_name="000_42"))


@pytest.mark.parametrize("metadata", ["full", "none"])
def test_what_people_open_is_signed_and_the_store_is_not(
    bench: Bench, make_request: MakeRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: str
) -> None:
    for name, value in write_identity(tmp_path / "anna").environment.items():
        monkeypatch.setenv(name, value)
    request = bench.request(make_request)
    for is_reused in (False, True):
        (row,), _ = bench.render(request, metadata=metadata, provenance="c2pa")
        shown, stored = Path(row["image_path"]), bench.store.image(request.request_id, "png", 95)
        claim = read_claim(shown.read_bytes())
        assert claim is not None
        assert (claim.signer, claim.faults, claim.request_id) == ("Anna, Studio", (), request.request_id)
        assert (row["reused"], row["image_sha256"]) == (is_reused, sha256_of(shown))
        assert read_claim(stored.read_bytes()) is None
        assert without_record(shown.read_bytes()) == without_record(stored.read_bytes())
    (row,), _ = bench.render(request, metadata=metadata)
    assert read_claim(Path(row["image_path"]).read_bytes()) is None


def test_what_pictures_carry_changes_without_rendering(bench: Bench, make_request: MakeRequest) -> None:
    request = bench.request(make_request)
    seen = []
    for metadata in ("full", "none", "public", "none", "full"):
        (row,), _ = bench.render(request, metadata=metadata)
        shown = Path(row["image_path"])
        seen.append(row["reused"])
        assert row["image_sha256"] == sha256_of(shown)
        assert (b"iTXtdarkroom" in shown.read_bytes()) == (metadata != "none")
    assert seen == [False, True, True, True, True]
    assert shown.samefile(bench.store.image(request.request_id, "png", 95))


@pytest.mark.parametrize("is_stored", [True, False])
def test_sentences_name_the_file_of_their_own_request(
    bench: Bench, make_request: MakeRequest, adapters: Path, tmp_path: Path, is_stored: bool
) -> None:
    """Whether the picture, or its LoRA alone, is there of a request that has the same file in another folder."""
    zeros = {key: tensor * 0 for key, tensor in load_file(adapters / "lora_bf16.safetensors").items()}
    loras = []
    for folder in ("theirs", "ours"):
        (tmp_path / folder).mkdir()
        save_file(zeros, path := tmp_path / folder / "anna.safetensors")
        loras.append(Lora(str(path), 1.0, sha256_of(path)))
    bench.render(bench.request(make_request, loras=(loras[0],)))
    seed = make_request().sampling.seed if is_stored else 7
    request = bench.request(make_request, seed=seed, loras=(loras[1], replace(loras[1], network_multiplier=0.0)))
    (row,), _ = bench.render(request, metadata="public")
    said = "anna.safetensors: changes nothing: "
    assert row["reused"] == is_stored
    assert row["loras"][0]["dead"].startswith(str(tmp_path / "ours" / said))
    assert [use["format"] for use in row["loras"]] == ["lora", "not applied"]
    shown = read_embedded_record(Path(row["image_path"]))
    assert (shown.loras[0].dead or "").startswith(said)
    assert [warning[: len(said)] for warning in shown.request.remarks.warnings] == [said]


def test_an_adapter_too_small_for_the_weights_is_named(
    bench: Bench, make_request: MakeRequest, adapters: Path, tmp_path: Path
) -> None:
    tiny = {key: tensor * 1e-6 for key, tensor in load_file(adapters / "lora_bf16.safetensors").items()}
    save_file(tiny, path := tmp_path / "tiny.safetensors")
    lora = Lora(str(path), 0.5, sha256_of(path))
    (row,), _ = bench.render(bench.request(make_request, dtype="bfloat16", loras=(lora,)))
    said = "tiny.safetensors: changes nothing: at strength 0.5 its deltas are below what bfloat16 weights"
    assert said in row["loras"][0]["dead"]


def test_weights_change_least(bench: Bench, make_request: MakeRequest, adapters: Path) -> None:
    path = adapters / "lora_bf16.safetensors"
    strengths = [1.0, 0.5, 0.0, 1.0, 0.5, 0.0]
    requests = [
        bench.request(make_request, seed=seed, loras=(Lora(str(path), strength, sha256_of(path)),))
        for seed, strength in enumerate(strengths)
    ]
    rows, _ = bench.render(*requests)
    in_order = sorted(rows, key=lambda row: row["started_at"])
    assert [row["loras"][0]["network_multiplier"] for row in in_order] == [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]
    assert len({row["base_load_id"] for row in rows}) == 1
    assert [row["seconds_load"] > 0 for row in in_order] == [True, False, False, False, False, False]
    applied = {(row["loras"][0]["format"], row["loras"][0]["matched_keys"]) for row in in_order[:2]}
    assert applied == {("not applied", 0)}


def test_a_lora_that_was_overwritten_after_the_plan_is_refused(
    bench: Bench, make_request: MakeRequest, adapters: Path, tmp_path: Path
) -> None:
    path = tmp_path / "training.safetensors"
    shutil.copy(adapters / "lora_bf16.safetensors", path)
    request = bench.request(make_request, loras=(Lora(str(path), 1.0, sha256_of(path)),))
    shutil.copy(adapters / "lora_bf16_alpha.safetensors", path)
    with pytest.raises(StoreError, match=r"training\.safetensors: changed or gone after the plan was made"):
        bench.render(request)
    assert not list(bench.store.root.rglob("*.png"))


def test_a_checkpoint_that_changed_after_the_plan_is_refused(
    bench: Bench, make_request: MakeRequest, tmp_path: Path
) -> None:
    request = bench.request(make_request)
    vae = tmp_path / "ae.safetensors"
    shutil.copy(bench.checkpoint["vae"].path, vae)
    moved = replace(bench.checkpoint["vae"], path=str(vae))
    bench.checkpoint = replace(bench.checkpoint, components={**bench.checkpoint.components, "vae": moved})
    bench.render(request)
    vae.write_bytes(vae.read_bytes() + b"\0")
    with pytest.raises(CheckpointError, match=r"ae\.safetensors: changed after the plan was made"):
        bench.render(request)


def test_a_text_encoder_of_another_size_is_named(bench: Bench, make_request: MakeRequest) -> None:
    request = bench.request(make_request, prompt="encoded by a larger one")
    path = bench.store.embedding(request.encoder.embedding_id(request.text.prompt))
    with atomic(path) as temporary:
        save_file({"prompt_embeds": torch.zeros(1, 512, 144)}, temporary, {"tokens_cut": "0"})
    with pytest.raises(CheckpointError, match=r"tiny_qwen3: is for another model: .* 96.*, got .* 144"):
        bench.render(request)


def test_missing_embeddings_say_how_to_bring_them_back(bench: Bench, make_request: MakeRequest) -> None:
    request = bench.request(make_request, prompt="a lost text")
    bench.store.embedding(request.encoder.embedding_id("a lost text")).unlink()
    with pytest.raises(StoreError, match="1 of 2 embeddings are missing or damaged, the first for 'a lost text'"):
        bench.render(request)


def test_an_embedding_that_another_machine_has_written_is_waited_for(bench: Bench, make_request: MakeRequest) -> None:
    request = bench.request(make_request, prompt="a text that is late")
    path = bench.store.embedding(request.encoder.embedding_id("a text that is late"))
    late = path.rename(bench.folder / "late")
    threading.Timer(0.3, late.rename, [path]).start()
    render_combination(replace(bench.write(request), latency=60.0), bench.pipelines, lambda _: None)
    assert [row["reused"] for row in bench.records()] == [False]


def test_an_embedding_that_is_deleted_while_pictures_are_rendered_is_named(
    bench: Bench, make_request: MakeRequest
) -> None:
    request = bench.request(make_request, prompt="a text that is lost")
    path = bench.store.embedding(request.encoder.embedding_id("a text that is lost"))
    with pytest.raises(StoreError, match=r"no such file, since the job began; the next run encodes it again"):
        render_combination(bench.write(request), bench.pipelines, lambda _: path.unlink(missing_ok=True))


def test_reference_images_are_seen_and_encoded_once(
    bench: Bench, make_request: MakeRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = []
    encode = flux2.encode_reference
    monkeypatch.setattr(flux2, "encode_reference", lambda *given: encoded.append(given) or encode(*given))
    images = []
    for color in ("red", "blue"):
        Image.new("RGB", (64, 80), color).save(tmp_path / f"{color}.png")
        images.append(ReferenceImage(str(tmp_path / f"{color}.png"), sha256_of(tmp_path / f"{color}.png")))
    conditions = [(), images[:1], images[1:], images, images[::-1]]
    rows, _ = bench.render(*(bench.request(make_request, ctrl_images=tuple(seen)) for seen in conditions))
    assert len({row["image_sha256"] for row in rows}) == 5, "each set of images, in each order, is another picture"
    assert len(encoded) == 2


def test_a_reference_image_that_changed_after_the_plan_is_refused(
    bench: Bench, make_request: MakeRequest, tmp_path: Path
) -> None:
    path = tmp_path / "seen.png"
    Image.new("RGB", (64, 64), "red").save(path)
    request = bench.request(make_request, ctrl_images=(ReferenceImage(str(path), sha256_of(path)),))
    Image.new("RGB", (64, 64), "blue").save(path)
    with pytest.raises(StoreError, match=r"seen\.png: changed or gone after the plan was made"):
        bench.render(request)


def test_an_encoded_prompt_takes_the_place_of_its_text(bench: Bench, make_request: MakeRequest, tmp_path: Path) -> None:
    text = bench.request(make_request, guidance_scale=1.0)
    path = tmp_path / "encoded.safetensors"
    stored = load_file(bench.store.embedding(text.encoder.embedding_id("a cat")))
    save_file({"prompt_embeds": stored["prompt_embeds"]}, path)
    encoded = bench.request(
        make_request, guidance_scale=1.0, prompt="", prompt_embeds=str(path), prompt_embeds_sha256=sha256_of(path)
    )
    rows, _ = bench.render(text, encoded)
    pictures = [np.asarray(Image.open(row["image_path"])) for row in rows]
    assert np.array_equal(*pictures)
    assert rows[0]["request_id"] != rows[1]["request_id"]


def test_a_strength_changes_nothing_but_the_adapter(bench: Bench, make_request: MakeRequest, adapters: Path) -> None:
    """Also between regimes, and beside a quantised base: the model is loaded once."""
    path = adapters / "lora_bf16.safetensors"
    requests = [
        bench.request(make_request, lora_merge=regime, seed=seed, loras=(Lora(str(path), strength, sha256_of(path)),))
        for seed in (1, 2)
        for regime, strength in (("live", 1.0), ("merged", 1.0), ("live", 0.5), ("merged_in_dtype", 0.5))
    ]
    rows, _ = bench.render(*requests)
    assert len({row["base_load_id"] for row in rows}) == 1
    assert len({row["image_sha256"] for row in rows}) == 8


def test_no_black_picture_is_called_done(bench: Bench, make_request: MakeRequest, tmp_path: Path) -> None:
    path = tmp_path / "nan.safetensors"
    save_file({"prompt_embeds": torch.full((1, 512, 96), torch.nan)}, path)
    request = bench.request(
        make_request, guidance_scale=1.0, prompt="", prompt_embeds=str(path), prompt_embeds_sha256=sha256_of(path)
    )
    well = bench.request(make_request, seed=7)
    with pytest.raises(
        PictureError, match=r"000_42: denoising ended in NaN or infinity.* values of .*nan\.safetensors"
    ):
        bench.render(request, well)
    assert bench.store.image(well.request_id, "png", 95).is_file(), "the others of its combination are rendered"
    log = ExperimentFolder(bench.folder / "results/bench").log("render", *request.title.names)
    error = read_job_error(log)
    assert error is not None
    assert [*error.pictures] == [request.request_id]
    assert error.pictures[request.request_id] == error.text


def test_a_picture_that_cannot_be_written_ends_the_job_with_its_place(bench: Bench, make_request: MakeRequest) -> None:
    request = bench.request(make_request)
    folder = bench.store.image(request.request_id, "png", 95).parent
    folder.parent.mkdir(parents=True)
    folder.write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=rf"{request.request_id}\.png\.lock: cannot be written: File exists"):
        bench.render(request)
    assert not (bench.folder / "records.parquet").exists()


def test_a_long_stack_is_read_once(bench: Bench, make_request: MakeRequest, adapters: Path, tmp_path: Path) -> None:
    files = []
    for number in range(6):
        tensors = {key: tensor * 0.1 for key, tensor in load_file(adapters / "lora_fp32.safetensors").items()}
        save_file(tensors, tmp_path / f"{number}.safetensors", {"number": str(number)})
        files.append(tmp_path / f"{number}.safetensors")
    loras = tuple(Lora(str(file), 0.5, sha256_of(file)) for file in files)
    first, second = (bench.request(make_request, seed=seed, loras=loras) for seed in (1, 2))
    bench.render(first)
    loaded = bench.pipelines.base(bench.checkpoint, first)
    kept = loaded.adapters(first)
    bench.render(second)
    assert loaded.adapters(second) == kept, "the same values, so that no weight is rewritten"
