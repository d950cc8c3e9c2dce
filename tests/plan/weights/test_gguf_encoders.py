"""A text encoder in a .gguf file as a dry run takes it: found beside its model, labelled, or refused by its header."""

import shutil
from dataclasses import replace
from pathlib import Path

import gguf
import torch
from safetensors.torch import load_file
from tests.base_files.gguf_file import write_encoder, write_gguf
from tests.places import DATA
from tests.plan.weights.model_files import KLEIN, SOURCE, find, refusal

from darkroom.checkpoint import GGUF
from darkroom.lora_files.families import NAMINGS
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.schema import CheckpointSource
from darkroom.plan.weights.base_layers import layers_at
from darkroom.plan.weights.missing_files import missing_weights

FLUX1 = DATA / "parity/flux1/flux"


def said(source: CheckpointSource, family: str = "flux2") -> list[str]:
    return [str(error) for error in missing_weights(source, family, Origin("m.yaml"), needs_text=True)]


def qwen3(path: Path, kind: str) -> str:
    return str(write_encoder(path, load_file(KLEIN / "qwen3/model.safetensors"), "qwen3", kind))


def source_of(text_encoder: str) -> CheckpointSource:
    return replace(SOURCE, text_encoder=text_encoder, tokenizer=str(KLEIN / "qwen3"))


def test_one_that_fits_is_found_and_labelled(tmp_path):
    for kind, quantized in (("Q8_0", "GGUF"), ("BF16", None)):
        source = source_of(qwen3(tmp_path / f"qwen3-{kind}.gguf", kind))
        assert said(source) == []
        found = find(tmp_path, source)
        assert (found["text_encoder"].layout, found["text_encoder"].quantized) == (GGUF, quantized)


def test_it_needs_a_tokenizer_from_elsewhere(tmp_path):
    source = replace(source_of(qwen3(tmp_path / "x.gguf", "BF16")), tokenizer=None, repo=None)
    assert f"{tmp_path}/x.gguf: has no tokenizer with it, and repo has none: " in refusal(tmp_path, source)


def test_it_lies_among_comfyuis_text_encoders(tmp_path):
    (tmp_path / "models/text_encoders").mkdir(parents=True)
    qwen3(tmp_path / "models/text_encoders/Qwen3-4B-BF16.gguf", "BF16")
    source = replace(source_of("Qwen3-4B-BF16.gguf"), comfyui_models=str(tmp_path / "models"))
    assert find(tmp_path, source)["text_encoder"].path.endswith("models/text_encoders/Qwen3-4B-BF16.gguf")


def test_one_of_another_size_is_refused_beside_files_and_beside_a_known_repository(tmp_path):
    path = write_gguf(tmp_path / "x.gguf", {"token_embd.weight": torch.zeros(8, 4096)}, "qwen3", "F16")
    (fault,) = said(source_of(str(path)))
    assert fault.startswith(
        f"m.yaml: checkpoint.text_encoder: {path}: this text encoder is for another model: hidden size 4096 "
        "(Qwen3-8B); the transformer reads 96 features a token, those of hidden size 32; lacks blk.0."
    )
    klein = CheckpointSource(
        repo="black-forest-labs/FLUX.2-klein-base-4B",
        transformer="flux-2-klein-base-4b.safetensors",
        text_encoder=str(path),
        tokenizer="Qwen/Qwen3-4B",
    )
    (fault,) = said(klein)
    assert "the transformer reads 7680 features a token, those of hidden size 2560 (Qwen3-4B)" in fault


def test_beside_a_transformer_that_is_gguf_too(tmp_path):
    text_in = {"txt_in.weight": torch.zeros(64, 96), "double_stream_modulation_img.lin.weight": torch.zeros(8, 8)}
    transformer = write_gguf(tmp_path / "klein.gguf", text_in, "flux", "F16")
    source = replace(source_of(qwen3(tmp_path / "x.gguf", "BF16")), transformer=str(transformer))
    assert said(source) == []
    (fault,) = said(replace(source, text_encoder=str(write_gguf(tmp_path / "y.gguf", text_in, "flux"))))
    assert "expected a text encoder of architecture qwen3, got flux; the transformer reads 96 features" in fault


def test_a_gguf_transformer_has_the_layers_of_the_same_in_safetensors(tmp_path):
    """So that a dry run can judge LoRA files beside it."""
    stored = Path(SOURCE.transformer)
    tensors = {f"model.diffusion_model.{key}": tensor for key, tensor in load_file(stored).items()}
    path = write_gguf(tmp_path / "klein.gguf", tensors, "flux", "Q8_0")
    layers = layers_at(path, NAMINGS["flux2"])
    assert layers["double_blocks.0.img_attn.qkv"][0] == 3 * layers["double_blocks.0.img_attn.qkv"][1]
    assert layers == layers_at(stored, NAMINGS["flux2"])


def test_t5_beside_flux_1_and_no_clip(tmp_path):
    folder = shutil.copytree(FLUX1, tmp_path / "flux")
    tensors = load_file(FLUX1 / "text_encoder_2/model.safetensors")
    path = str(write_encoder(tmp_path / "t5.gguf", tensors, "t5encoder"))
    source = CheckpointSource(repo=str(folder), text_encoder_2=path)
    assert said(source, "flux") == []
    (fault,) = said(replace(source, text_encoder=path), "flux")
    assert "GGUF is read for the transformer, Qwen3 and T5, not for this text encoder" in fault


def test_a_type_that_cannot_be_read(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "flux")
    writer.add_tensor("img_in.weight", torch.ones(2, 292).byte().numpy(), raw_dtype=gguf.GGMLQuantizationType.Q8_K)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    (fault,) = said(replace(SOURCE, transformer=str(tmp_path / "x.gguf")))
    assert fault == (
        f"m.yaml: checkpoint.transformer: {tmp_path}/x.gguf: holds tensors of type Q8_K, which cannot be read; use Q8_0"
    )
