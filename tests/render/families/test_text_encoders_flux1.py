"""FLUX.1's text encoders against transformers and diffusers, at tiny sizes: every layout, option and refusal."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline
from safetensors.torch import load_file, save_file
from tests.base_files.gguf_file import write_encoder, write_gguf
from tests.places import DATA
from tests.render import quanto
from tests.render.device.memory_meter import FusedAttention, Meter
from torch.nn.attention import SDPBackend
from torch.overrides import TorchFunctionMode
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from darkroom.checkpoint import DIFFUSERS, GGUF, SINGLE_FILE, TOKENIZER, Checkpoint, Component
from darkroom.errors import CheckpointError
from darkroom.render.device.environment import attention_kernels
from darkroom.render.device.mode import BLOCK, RESIDENT
from darkroom.render.device.offload import place_text_encoder
from darkroom.render.families.flux1.text import (
    ClipAndT5,
    check_text_encoder,
    encode,
    encoding_bytes,
    load_text_encoder,
    text_footprints,
    text_model_footprints,
    tokens_cut,
)
from darkroom.render.weights.base import DTYPES, TextEncoder
from darkroom.render.weights.quantized_tensor import QuantizedTensor
from darkroom.request.parts import Encoder

FLUX = DATA / "parity" / "flux1" / "flux"
CPU, META = torch.device("cpu"), torch.device("meta")
LENGTH = 96  # tokens of T5, more than CLIP's 77
PROMPTS = ("", "a cat", "a red fox in the Snow, 東京, " * 20)
PARTS = ("transformer", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
Pair = tuple[torch.Tensor, torch.Tensor]


SMALL = Encoder(family="flux", dtype="bfloat16", max_sequence_length=LENGTH)


def _checkpoint(**parts: Path) -> Checkpoint:
    """The tiny FLUX.1 with other parts."""
    return Checkpoint("tiny", None, {part: _component(part, parts.get(part, FLUX / part)) for part in PARTS})


def _component(part: str, path: Path) -> Component:
    layout = {".gguf": GGUF, ".safetensors": SINGLE_FILE}.get(path.suffix, DIFFUSERS)
    return Component(str(path), TOKENIZER if part.startswith("tokenizer") else layout, digest="")


def _faults(checkpoint: Checkpoint) -> list[str]:
    return [str(error) for error in check_text_encoder(checkpoint)]


def _copy(folder: Path, part: str) -> Path:
    return Path(shutil.copytree(FLUX / part, folder / part))


def _change_config(folder: Path, **changes: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


def _models(clip: Path = FLUX / "text_encoder", t5: Path = FLUX / "text_encoder_2", dtype: str = "bfloat16") -> Any:
    return (
        CLIPTextModel.from_pretrained(clip, dtype=DTYPES[dtype]).eval(),
        T5EncoderModel.from_pretrained(t5, dtype=DTYPES[dtype]).eval(),
    )


@torch.no_grad()
def _by_pipeline(clip: Any, t5: Any) -> dict[str, Pair]:
    """What diffusers' FluxPipeline makes of the prompts: T5's and the pooled embeddings."""
    pipeline = FluxPipeline(
        scheduler=None,
        vae=None,
        transformer=None,
        text_encoder=clip,
        text_encoder_2=t5,
        tokenizer=CLIPTokenizer.from_pretrained(FLUX / "tokenizer"),
        tokenizer_2=T5TokenizerFast.from_pretrained(FLUX / "tokenizer_2"),
    )
    return {text: pipeline.encode_prompt(text, None, CPU, max_sequence_length=LENGTH)[:2] for text in PROMPTS}


def _assert_equal(encoder: TextEncoder, expected: dict[str, Pair]) -> None:
    for text, (embeds, pooled) in expected.items():
        ours = encode(encoder, text)
        assert ours.keys() == {"prompt_embeds", "pooled_prompt_embeds"}
        for made, wanted in ((ours["prompt_embeds"], embeds), (ours["pooled_prompt_embeds"], pooled)):
            assert made.shape == wanted.shape
            assert made.dtype == wanted.dtype == encoder.dtype
            assert torch.equal(made, wanted), f"differs for {text[:20]!r}"


# ---- what they make of a text ----


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_as_in_diffusers(dtype: str) -> None:
    request = replace(SMALL, dtype=dtype)
    assert _faults(_checkpoint()) == []
    encoder = load_text_encoder(_checkpoint(), request, CPU)
    made = encode(encoder, "a cat")
    assert made["prompt_embeds"].shape == (1, LENGTH, 48)
    assert made["pooled_prompt_embeds"].shape == (1, 32)
    _assert_equal(encoder, _by_pipeline(*_models(dtype=dtype)))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_weights_and_buffers_are_those_of_from_pretrained(dtype: str) -> None:
    encoder = load_text_encoder(_checkpoint(), replace(SMALL, dtype=dtype), CPU)
    clip, t5 = _models(dtype=dtype)
    for ours, theirs in ((encoder.model.clip, clip), (encoder.model.t5, t5.encoder)):
        assert ours.config._attn_implementation == theirs.config._attn_implementation == "sdpa"
        tensors = [dict((*model.named_parameters(), *model.named_buffers())) for model in (ours, theirs)]
        assert tensors[0].keys() == tensors[1].keys()
        for name, tensor in tensors[1].items():
            assert tensors[0][name].dtype == tensor.dtype
            assert torch.equal(tensors[0][name], tensor)


def test_attn_masking_zeroes_the_rows_of_padding() -> None:
    plain = encode(load_text_encoder(_checkpoint(), SMALL, CPU), "a cat")
    masked = encode(load_text_encoder(_checkpoint(), replace(SMALL, attn_masking=True), CPU), "a cat")
    tokens = len(T5TokenizerFast.from_pretrained(FLUX / "tokenizer_2")("a cat")["input_ids"])
    assert torch.equal(masked["prompt_embeds"][:, :tokens], plain["prompt_embeds"][:, :tokens])
    assert plain["prompt_embeds"][:, tokens:].any()
    assert not masked["prompt_embeds"][:, tokens:].any()
    assert torch.equal(masked["pooled_prompt_embeds"], plain["pooled_prompt_embeds"])


@pytest.mark.parametrize("qtype", ["qfloat8", "qint8", "qint4"])
def test_quantisation_is_of_t5_alone(qtype: str) -> None:
    clip, t5 = _models()
    quanto.quantize(t5, qtype)
    encoder = load_text_encoder(_checkpoint(), replace(SMALL, quantize_text_encoder=qtype), CPU)
    _assert_equal(encoder, _by_pipeline(clip, t5))
    assert sum(isinstance(weight, QuantizedTensor) for weight in encoder.model.t5.parameters()) == 2 * 7
    assert not any(isinstance(weight, QuantizedTensor) for weight in encoder.model.clip.parameters())


def test_the_trainers_cast_changes_nothing() -> None:
    encoder = load_text_encoder(_checkpoint(), replace(SMALL, text_encoder_cast=True), CPU)
    _assert_equal(encoder, _by_pipeline(*(model.to(torch.bfloat16) for model in _models())))


def test_tokens_cut_counts_those_of_t5() -> None:
    encoder = load_text_encoder(_checkpoint(), SMALL, CPU)
    words = len(encoder.tokenizer.t5("a cat")["input_ids"])
    assert tokens_cut(encoder, "a cat") == 0
    assert (
        tokens_cut(load_text_encoder(_checkpoint(), replace(SMALL, max_sequence_length=words - 1), CPU), "a cat") == 1
    )
    long = "a cat " * 40
    assert len(encoder.tokenizer.clip(long)["input_ids"]) > 77
    assert tokens_cut(encoder, long) == len(encoder.tokenizer.t5(long)["input_ids"]) - LENGTH


# ---- layouts ----


def test_the_layout_of_flux1_devs_repository(tmp_path: Path) -> None:
    """Prefixed keys, T5 in shards with an index, CLIP's tokenizer as vocab.json and merges.txt."""
    prefixed = _copy(tmp_path, "text_encoder")
    weights = {f"text_model.{key}": tensor for key, tensor in load_file(prefixed / "model.safetensors").items()}
    save_file(weights, prefixed / "model.safetensors")
    T5EncoderModel.from_pretrained(FLUX / "text_encoder_2").save_pretrained(
        tmp_path / "text_encoder_2", max_shard_size="60KB"
    )
    _change_config(tmp_path / "text_encoder_2", tie_word_embeddings=False)
    assert len(list((tmp_path / "text_encoder_2").glob("model-*-of-*.safetensors"))) > 1
    words = _copy(tmp_path, "tokenizer")
    model = json.loads((words / "tokenizer.json").read_text())["model"]
    (words / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (words / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", encoding="utf-8")
    (words / "tokenizer.json").unlink()
    pieces = _copy(tmp_path, "tokenizer_2")
    (pieces / "spiece.model").write_bytes(b"the same once more, for another library")
    found = _checkpoint(**{part: tmp_path / part for part in PARTS if part != "transformer"})
    assert _faults(found) == []
    models = _models(prefixed, tmp_path / "text_encoder_2")
    _assert_equal(load_text_encoder(found, SMALL, CPU), _by_pipeline(*models))


def test_the_text_half_of_a_whole_clip(tmp_path: Path) -> None:
    torch.manual_seed(0)
    text = json.loads((FLUX / "text_encoder" / "config.json").read_text())
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision)).save_pretrained(tmp_path)
    found = _checkpoint(text_encoder=tmp_path)
    assert _faults(found) == []
    _assert_equal(load_text_encoder(found, SMALL, CPU), _by_pipeline(*_models(clip=tmp_path)))


def _single_clip(folder: Path) -> tuple[Path, Path]:
    """A CLIP with heads of 64 as a folder and as ComfyUI's file."""
    values = json.loads((FLUX / "text_encoder" / "config.json").read_text())
    torch.manual_seed(0)
    sizes = {"hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 2, "projection_dim": 128}
    model = CLIPTextModel(CLIPTextConfig(**{**values, **sizes})).to(torch.bfloat16)
    model.save_pretrained(folder / "clip")
    file = folder / "clip_l.safetensors"
    weights = {f"text_model.{name}": weight for name, weight in model.state_dict().items()}
    save_file({**weights, "text_model.embeddings.position_ids": torch.arange(77)[None]}, file)
    return folder / "clip", file


def _t5_file(folder: Path, kind: str) -> tuple[Path, Path]:
    """The tiny T5 in one of ComfyUI's files, and a folder of what its numbers stand for."""
    weights = load_file(FLUX / "text_encoder_2" / "model.safetensors")
    stored: dict[str, torch.Tensor] = {}
    if kind == "fp16":
        stored = {key: weight.half() for key, weight in weights.items()}
        meant = {key: weight.bfloat16() for key, weight in stored.items()}
        stored["encoder.embed_tokens.weight"] = stored["shared.weight"].clone()
    elif kind == "fp8":
        stored = {key: weight.to(torch.float8_e4m3fn) for key, weight in weights.items()}
        meant = {key: weight.bfloat16() for key, weight in stored.items()}
    else:
        linear = {key for key, weight in weights.items() if weight.ndim == 2 and "block" in key and "bias" not in key}
        stored = {key: weight.to(torch.float8_e4m3fn) if key in linear else weight for key, weight in weights.items()}
        scales = {key: torch.tensor(0.5 + index / 16) for index, key in enumerate(sorted(linear))}
        meant = {
            key: (weight.float() * scales[key]).bfloat16() if key in linear else weight
            for key, weight in stored.items()
        }
        stored |= {key.replace(".weight", ".scale_weight"): scale for key, scale in scales.items()}
        stored |= {"scaled_fp8": torch.empty(2, dtype=torch.float8_e4m3fn), "spiece_model": torch.zeros(5)}
    save_file(stored, folder / "t5xxl.safetensors")
    save_file(meant, _copy(folder, "text_encoder_2") / "model.safetensors", {"format": "pt"})
    return folder / "text_encoder_2", folder / "t5xxl.safetensors"


@pytest.mark.parametrize("kind", ["fp16", "fp8", "fp8_scaled"])
def test_single_files(tmp_path: Path, kind: str) -> None:
    clip_folder, clip_file = _single_clip(tmp_path)
    t5_folder, t5_file = _t5_file(tmp_path, kind)
    transformer = _change_config(_copy(tmp_path, "transformer"), pooled_projection_dim=128)
    found = _checkpoint(transformer=transformer, text_encoder=clip_file, text_encoder_2=t5_file)
    assert _faults(found) == []
    _assert_equal(load_text_encoder(found, SMALL, CPU), _by_pipeline(*_models(clip_folder, t5_folder)))


# ---- on a device ----


class _Masks(TorchFunctionMode):
    """Notes which attentions add something to their scores."""

    def __init__(self) -> None:
        super().__init__()
        self.added: list[bool] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.nn.functional.scaled_dot_product_attention:
            self.added.append(kwargs["attn_mask"] is not None)
        return function(*args, **(kwargs or {}))


def test_clip_takes_flash_attention_as_torch_would_by_itself() -> None:
    with _Masks() as masks:
        encode(load_text_encoder(_checkpoint(), SMALL, CPU), "a cat")
    assert masks.added == [False, False, True, True]  # the layers of CLIP, then those of T5 with their positions
    assert attention_kernels("clip", torch.bfloat16, (9, 0)) == [SDPBackend.FLASH_ATTENTION]
    assert attention_kernels("text_encoder", torch.bfloat16, (9, 0))[0] is SDPBackend.EFFICIENT_ATTENTION


@torch.no_grad()
def test_by_blocks_both_encode_the_same() -> None:
    encoder = load_text_encoder(_checkpoint(), SMALL, CPU)
    expected = _by_pipeline(*_models())
    _assert_equal(place_text_encoder(encoder, BLOCK, CPU), expected)
    elsewhere = place_text_encoder(encoder, BLOCK, META)
    clip, t5 = elsewhere.model.clip, elsewhere.model.t5
    assert {clip.embeddings.token_embedding.weight.device, t5.embed_tokens.weight.device} == {META}
    for blocks in (clip.encoder.layers, t5.block):
        assert {weight.device for block in blocks for weight in block.parameters()} == {CPU}
    tokens = torch.empty(1, 77, dtype=torch.long, device=META)
    assert t5(tokens).last_hidden_state.device == META
    assert clip.encoder(clip.embeddings(tokens)).last_hidden_state.device == META


def _full_size(dtype: torch.dtype) -> ClipAndT5:
    """CLIP-L and T5-XXL without contents."""
    clip = CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    t5 = T5Config(d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, feed_forward_proj="gated-gelu")
    with META:
        return ClipAndT5(CLIPTextModel(clip), T5EncoderModel(t5).encoder, attn_masking=False).to(dtype).eval()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@torch.no_grad()
def test_encoding_takes_less_than_estimated_but_not_half_of_it(dtype: torch.dtype) -> None:
    model = _full_size(dtype)
    for length in (128, 512):
        tokens = torch.empty(1, length, dtype=torch.long, device=META)
        with Meter([tokens, *model.t5.parameters()]) as t5, FusedAttention():
            model.t5(tokens)
        estimated = encoding_bytes(model.t5.config, length, dtype)
        assert estimated / 2 < t5.peak <= estimated
    tokens = torch.empty(1, 77, dtype=torch.long, device=META)
    with Meter([tokens, *model.clip.parameters(), *model.clip.buffers()]) as clip, FusedAttention():
        model.clip(tokens)
    assert clip.peak < t5.peak / 50


def test_the_footprints_of_clip_l_and_t5_xxl() -> None:
    found = text_model_footprints(_full_size(torch.bfloat16), 512, torch.bfloat16)
    assert found[None].weights == pytest.approx(9.77e9, rel=1e-3)
    assert found["qfloat8"].weights == pytest.approx(5.15e9, rel=1e-2)
    peaks = [found[name].peak(mode) / 1e9 for name in (None, "qfloat8") for mode in (RESIDENT, BLOCK)]
    assert peaks == pytest.approx([9.94, 1.25, 5.56, 1.12], abs=0.01)


def test_the_footprint_of_a_loaded_one_has_its_real_size() -> None:
    encoder = load_text_encoder(_checkpoint(), SMALL, CPU)
    found = text_footprints(encoder)[None]
    stored = sum(weight.numel() * 2 for weight in encoder.model.parameters())
    assert found.weights == stored + 2 * 77  # positions
    lists = (encoder.model.clip.encoder.layers, encoder.model.t5.block)
    in_blocks = sum(weight.numel() * 2 for blocks in lists for weight in blocks.parameters())
    assert found.outside == found.weights - in_blocks


# ---- refused ----


def test_swapped_encoders_are_told_apart() -> None:
    swapped = _checkpoint(text_encoder=FLUX / "text_encoder_2", text_encoder_2=FLUX / "text_encoder")
    clip, t5 = _faults(swapped)
    where = "; checkpoint.text_encoder is the CLIP, checkpoint.text_encoder_2 the T5; tiny reads"
    assert f"text_encoder_2/config.json: model_type: expected clip_text_model or clip, got t5{where} 32" in clip
    assert f"text_encoder/config.json: model_type: expected t5, got clip_text_model{where} 48 features of T5" in t5


def test_swapped_single_files_are_told_apart(tmp_path: Path) -> None:
    _, clip_file = _single_clip(tmp_path)
    _, t5_file = _t5_file(tmp_path, "fp16")
    clip, t5 = _faults(_checkpoint(text_encoder=t5_file, text_encoder_2=clip_file))
    assert f"{t5_file}: expected a CLIP text encoder, got T5, a text encoder of FLUX.1; checkpoint.text_enc" in clip
    assert f"{clip_file}: expected a T5 text encoder, got CLIP, a text encoder of FLUX.1; checkpoint.text_enc" in t5


def test_swapped_tokenizers_are_told_apart() -> None:
    swapped = _checkpoint(tokenizer=FLUX / "tokenizer_2", tokenizer_2=FLUX / "tokenizer")
    clip, t5 = _faults(swapped)
    assert clip.endswith(
        "tokenizer_2/tokenizer.json: model.type: expected BPE, got Unigram: not a tokenizer of CLIP; "
        "checkpoint.tokenizer is CLIP's, checkpoint.tokenizer_2 T5's"
    )
    assert "expected Unigram, got BPE: not a tokenizer of T5" in t5


@pytest.mark.parametrize(
    ("part", "sizes", "message"),
    [
        (
            "text_encoder_2",
            {"joint_attention_dim": 4096},
            "text_encoder_2: this text encoder is for another model: a T5 of hidden size 48; "
            "tiny reads 4096 features of T5, those of T5-XXL",
        ),
        (
            "text_encoder",
            {"pooled_projection_dim": 768},
            "text_encoder: this text encoder is for another model: a CLIP of hidden size 32; "
            "tiny reads 768 features of CLIP, those of CLIP-L",
        ),
    ],
)
def test_other_sizes_are_refused(tmp_path: Path, part: str, sizes: dict[str, int], message: str) -> None:
    transformer = _change_config(_copy(tmp_path, "transformer"), **sizes)
    (fault,) = _faults(_checkpoint(transformer=transformer))
    assert message in fault


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("text_encoder", {"model_type": "qwen3"}, "model_type: expected clip_text_model or clip, got qwen3"),
        ("text_encoder_2", {"model_type": "mistral3"}, "model_type: expected t5, got mistral3"),
        ("text_encoder_2", {"model_type": "umt5"}, "model_type: expected t5, got umt5"),
        ("text_encoder_2", {"quantization_config": {"load_in_8bit": True}}, "quantization_config: expected plain"),
        ("text_encoder", {"hidden_size": "wide"}, "config.json: cannot be read as the config of clip_text_model"),
    ],
)
def test_configs_are_refused(tmp_path: Path, part: str, change: dict[str, Any], message: str) -> None:
    folder = _change_config(_copy(tmp_path, part), **change)
    (fault,) = _faults(_checkpoint(**{part: folder}))
    assert message in fault


def test_a_umt5_file_is_refused(tmp_path: Path) -> None:
    weights = load_file(FLUX / "text_encoder_2" / "model.safetensors")
    bias = "layer.0.SelfAttention.relative_attention_bias.weight"
    weights[f"encoder.block.1.{bias}"] = weights[f"encoder.block.0.{bias}"].clone()
    save_file(weights, tmp_path / "umt5.safetensors")
    (fault,) = _faults(_checkpoint(text_encoder_2=tmp_path / "umt5.safetensors"))
    assert "umt5.safetensors: expected a T5 text encoder, got a UMT5" in fault


def _t5_of(checkpoint: Checkpoint) -> torch.Tensor:
    return encode(load_text_encoder(checkpoint, SMALL, CPU), "a red fox")["prompt_embeds"]


@pytest.mark.parametrize("architecture", ["t5encoder", "t5"])
@pytest.mark.parametrize("kind", ["BF16", "F32", "F16"])
def test_a_gguf_file_is_the_same_as_safetensors(tmp_path: Path, kind: str, architecture: str) -> None:
    tensors = load_file(FLUX / "text_encoder_2" / "model.safetensors")
    rounded = {key: tensor.half() if kind == "F16" and tensor.ndim > 1 else tensor for key, tensor in tensors.items()}
    save_file(rounded, tmp_path / "t5xxl.safetensors")
    checkpoint = _checkpoint(text_encoder_2=write_encoder(tmp_path / "t5.gguf", tensors, architecture, kind))
    assert _faults(checkpoint) == []
    theirs = _t5_of(_checkpoint(text_encoder_2=tmp_path / "t5xxl.safetensors"))
    assert torch.equal(_t5_of(checkpoint), theirs)


def test_a_quantised_gguf_file_is_near(tmp_path: Path) -> None:
    """Rows of 64: as wide as blocks of Q8_0 need."""
    torch.manual_seed(0)
    config = T5Config(
        d_model=64, d_kv=16, d_ff=96, num_layers=2, num_heads=4, vocab_size=282, feed_forward_proj="gated-gelu"
    )
    T5EncoderModel(config).to(torch.bfloat16).save_pretrained(tmp_path / "t5")
    tensors = load_file(tmp_path / "t5" / "model.safetensors")
    transformer = _change_config(_copy(tmp_path, "transformer"), joint_attention_dim=64)
    path = write_encoder(tmp_path / "t5.gguf", tensors, "t5encoder", "Q8_0")
    ours = _t5_of(_checkpoint(transformer=transformer, text_encoder_2=path)).float()
    theirs = _t5_of(_checkpoint(transformer=transformer, text_encoder_2=tmp_path / "t5")).float()
    assert 0 < torch.dist(ours, theirs) < 0.05 * theirs.norm()


def test_a_gguf_file_with_a_decoder(tmp_path: Path) -> None:
    """Of a whole T5, as llama.cpp converts it: the decoder encodes nothing."""
    tensors = load_file(FLUX / "text_encoder_2" / "model.safetensors")
    decoder = {"decoder.block.0.layer.0.SelfAttention.q.weight": torch.zeros(48, 48)}
    checkpoint = _checkpoint(text_encoder_2=write_encoder(tmp_path / "t5.gguf", tensors | decoder, "t5"))
    assert _faults(checkpoint) == []


def test_a_gguf_file_that_does_not_fit(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf", {"token_embd.weight": torch.zeros(8, 64)}, "t5encoder")
    (fault,) = _faults(_checkpoint(text_encoder_2=path))
    assert f"{path}: this text encoder is for another model: hidden size 64; the transformer reads 48" in fault
    assert "lacks enc.output_norm.weight, " in fault
    (fault,) = _faults(_checkpoint(text_encoder=path))
    assert fault == (
        f"{path}: GGUF is read for the transformer, Qwen3 and T5, not for this text encoder; name a folder or a "
        ".safetensors file"
    )


def test_tensors_of_both_are_accounted_for_together(tmp_path: Path) -> None:
    clip, t5 = _copy(tmp_path, "text_encoder"), _copy(tmp_path, "text_encoder_2")
    weights = load_file(clip / "model.safetensors")
    weights["encoder.layers.1.mlp.fc3.weight"] = weights.pop("encoder.layers.1.mlp.fc1.weight")
    save_file(weights, clip / "model.safetensors")
    weights = load_file(t5 / "model.safetensors")
    weights["encoder.block.0.layer.1.DenseReluDense.wo.weight"] = torch.zeros(3, 3)
    save_file(weights, t5 / "model.safetensors")
    of_clip, of_t5 = _faults(_checkpoint(text_encoder=clip, text_encoder_2=t5))
    assert "lacks: encoder.layers.1.mlp.fc1.weight" in of_clip
    assert "without a place: encoder.layers.1.mlp.fc3.weight" in of_clip
    assert "of another shape: encoder.block.0.layer.1.DenseReluDense.wo.weight (expected [48, 96]" in of_t5


def test_a_part_of_a_file_is_no_encoder(tmp_path: Path) -> None:
    weights = load_file(FLUX / "text_encoder_2" / "model.safetensors")
    save_file({"shared.weight": weights["shared.weight"]}, tmp_path / "t5.safetensors")
    (fault,) = _faults(_checkpoint(text_encoder_2=tmp_path / "t5.safetensors"))
    assert "lacks block.0.layer.0.SelfAttention.relative_attention_bias.weight: expected a whole T5" in fault


@pytest.mark.parametrize(
    ("part", "removed", "message"),
    [
        ("tokenizer", "tokenizer.json", "lacks tokenizer.json or vocab.json and merges.txt: expected the tokenizer of"),
        ("tokenizer_2", "tokenizer.json", "lacks tokenizer.json: expected the tokenizer of T5 as tokenizer_2"),
        ("tokenizer", "tokenizer_config.json", "tokenizer_config.json: cannot be read as part of a tokenizer"),
    ],
)
def test_a_tokenizer_without_its_files_is_refused(tmp_path: Path, part: str, removed: str, message: str) -> None:
    folder = _copy(tmp_path, part)
    (folder / removed).unlink()
    (fault,) = _faults(_checkpoint(**{part: folder}))
    assert message in fault


def test_the_tokenizer_of_another_encoder_is_refused(tmp_path: Path) -> None:
    few = _change_config(_copy(tmp_path, "text_encoder_2"), vocab_size=200)
    weights = load_file(few / "model.safetensors")
    save_file({**weights, "shared.weight": weights["shared.weight"][:200].clone()}, few / "model.safetensors")
    with pytest.raises(CheckpointError, match="has more tokens than the text encoder's 200; expected the one of the"):
        load_text_encoder(_checkpoint(text_encoder_2=few), SMALL, CPU)
    words = _copy(tmp_path, "tokenizer")
    config = json.loads((words / "tokenizer_config.json").read_text())
    (words / "tokenizer_config.json").write_text(json.dumps({**config, "model_max_length": 512}))
    with pytest.raises(CheckpointError, match="cuts at 512 tokens, not at the text encoder's 77"):
        load_text_encoder(_checkpoint(tokenizer=words), SMALL, CPU)
