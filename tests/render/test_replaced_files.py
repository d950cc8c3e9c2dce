"""Files that are replaced after they were checked and before they are read: no picture is stored under the old id."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save, save_file
from tests.render.bench import Bench, MakeRequest

from darkroom.errors import CheckpointError, DarkroomError, StoreError
from darkroom.files.content import write_content
from darkroom.files.weight_file import sha256_of
from darkroom.render.combination import render_combination
from darkroom.request.parts import Lora, ReferenceImage
from darkroom.request.request import Request


def render_while(bench: Bench, request: Request, replaced: Callable[[], None], error: type[DarkroomError]) -> str:
    """What is said of a job whose files are `replaced` when all is checked, and no base model is loaded yet."""
    with pytest.raises(error) as caught:
        render_combination(bench.write(request), bench.pipelines, lambda _: replaced())
    assert not list(bench.store.root.rglob("*.png"))
    return str(caught.value)


def replace_by(path: Path, content: bytes) -> None:
    """In place, with the size and the times of before."""
    seen = path.stat()
    path.write_bytes(content + bytes(seen.st_size - len(content)))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def test_a_lora(bench: Bench, make_request: MakeRequest, adapters: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(adapters / "lora_bf16.safetensors", tmp_path / "training.safetensors"))
    request = bench.request(make_request, loras=(Lora(str(path), 1.0, sha256_of(path)),))
    other = path.read_bytes()[:-2] + b"\1\1"
    said = render_while(bench, request, lambda: replace_by(path, other), StoreError)
    assert said.endswith(
        "training.safetensors: changed after the plan was made, and pictures are named by what was in it; run "
        "Snakemake again"
    )


def test_a_reference_image(bench: Bench, make_request: MakeRequest, tmp_path: Path) -> None:
    path = tmp_path / "seen.bmp"
    Image.new("RGB", (64, 64), "blue").save(path)
    other = path.read_bytes()
    Image.new("RGB", (64, 64), "red").save(path)
    request = bench.request(make_request, ctrl_images=(ReferenceImage(str(path), sha256_of(path)),))
    assert "seen.bmp: changed after the plan" in render_while(
        bench, request, lambda: replace_by(path, other), StoreError
    )


def test_an_encoded_prompt(bench: Bench, make_request: MakeRequest, tmp_path: Path) -> None:
    path, other = tmp_path / "encoded.safetensors", save({"prompt_embeds": torch.ones(1, 512, 96)})
    save_file({"prompt_embeds": torch.zeros(1, 512, 96)}, path)
    request = bench.request(make_request, prompt_embeds=str(path), prompt_embeds_sha256=sha256_of(path))
    assert "encoded.safetensors: changed after the plan" in render_while(
        bench, request, lambda: replace_by(path, other), StoreError
    )


def test_an_encoded_prompt_that_is_gone(bench: Bench, make_request: MakeRequest, tmp_path: Path) -> None:
    path = tmp_path / "encoded.safetensors"
    save_file({"prompt_embeds": torch.zeros(1, 512, 96)}, path)
    request = bench.request(make_request, prompt_embeds=str(path), prompt_embeds_sha256=sha256_of(path))
    said = render_while(bench, request, lambda: path.unlink(missing_ok=True), StoreError)
    assert "encoded.safetensors: " in said


@pytest.mark.slow
@pytest.mark.parametrize("part", ["transformer", "vae"])
def test_a_base_model(bench: Bench, make_request: MakeRequest, tmp_path: Path, part: str) -> None:
    path = Path(shutil.copy(bench.checkpoint[part].path, tmp_path / "part.safetensors"))
    moved = replace(bench.checkpoint[part], path=str(path))
    bench.checkpoint = replace(bench.checkpoint, components={**bench.checkpoint.components, part: moved})
    good, other = path.read_bytes(), path.read_bytes()[:-4] + b"\1\1\1\1"
    said = render_while(bench, bench.request(make_request), lambda: replace_by(path, other), CheckpointError)
    assert said.endswith("part.safetensors: changed after the plan was made; run Snakemake again")
    path.write_bytes(good)
    rows, _ = bench.render(bench.request(make_request))
    assert rows[0]["status"] == "done", "what was read of the other file is not in memory any more"


def test_a_zeroed_embedding_of_the_store_is_no_embedding(bench: Bench, make_request: MakeRequest) -> None:
    request = bench.request(make_request, prompt="a zeroed text")
    path = bench.store.embedding(request.encoder.embedding_id("a zeroed text"))
    content = save(load_file(path), {"tokens_cut": "0"})
    write_content(path, content)
    path.write_bytes(content[:-4096] + bytes(4096))
    with pytest.raises(StoreError, match="1 of 2 embeddings are missing or damaged"):
        bench.render(request)
