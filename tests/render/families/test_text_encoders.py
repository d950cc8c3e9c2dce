"""FLUX.2's text encoders against diffusers' own pipelines, at tiny sizes: every file layout, quantised, and refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import Flux2KleinPipeline, Flux2Pipeline
from safetensors.torch import load_file, save_file
from tests.base_files.gguf_file import write_encoder, write_gguf
from tests.places import DATA
from tests.render import quanto
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    MistralConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.processing_utils import ProcessorMixin

from darkroom.checkpoint import DIFFUSERS, GGUF, SINGLE_FILE, Checkpoint, Component
from darkroom.errors import CheckpointError
from darkroom.render.families.chat import load_tokenizer, qwen3_chat
from darkroom.render.families.flux2.text import (
    PARTNERS,
    READING,
    build_text_encoder,
    check_text_encoder,
    encode,
    load_text_encoder,
    tokens_cut,
)
from darkroom.render.families.language_model import MISTRAL3, QWEN3, describe
from darkroom.render.weights.base import TextEncoder
from darkroom.render.weights.quantized_tensor import QuantizedTensor
from darkroom.request.parts import Encoder

QWEN3_FOLDER = DATA / "parity" / "klein" / "qwen3"
CPU = torch.device("cpu")
LENGTH = 160  # tokens
PROMPTS = ("", "a cat", "[IMG]a red fox, " * 200)
MISTRAL_TOKENS = ("[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[IMG]", "[IMG_BREAK]", "[IMG_END]")
# The structure of Mistral-Small-3.1's: a dated default that goes unused, lists of blocks as content.
MISTRAL_TEMPLATE = """{%- set default = 'Today is ' + strftime_now('%Y-%m-%d') %}
{{- bos_token }}
{%- set given = messages[0]['role'] == 'system' %}
{{- '[SYSTEM_PROMPT]' + (messages[0]['content'][0]['text'] if given else default) + '[/SYSTEM_PROMPT]' }}
{%- for message in (messages[1:] if given else messages) %}
    {{- '[INST]' }}
    {%- for block in message['content'] %}
        {{- block['text'] if block['type'] == 'text' else '[IMG]' }}
    {%- endfor %}
    {{- '[/INST]' }}
{%- endfor %}"""


def _checkpoint(folder: Path, text_encoder: Path, tokenizer: Path, features: int = 96) -> Checkpoint:
    """A model of which only the text encoder is whole: of its transformer, the header is enough."""
    transformer = folder / f"transformer_{features}.safetensors"
    save_file({"txt_in.weight": torch.zeros(1, features)}, transformer)
    paths = {"transformer": transformer, "text_encoder": text_encoder, "tokenizer": tokenizer}
    components = {
        name: Component(str(path), DIFFUSERS if path.is_dir() else SINGLE_FILE, digest="")
        for name, path in paths.items()
    }
    return Checkpoint("tiny", None, components)


@pytest.fixture(scope="module")
def mistral_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Mistral 3 with 31 layers, vision tower, projector and left-padding tokenizer, as on the hub."""
    folder = tmp_path_factory.mktemp("mistral3")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(QWEN3_FOLDER / "tokenizer.json"),
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        additional_special_tokens=list(MISTRAL_TOKENS),
        padding_side="left",
    )
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": MISTRAL_TEMPLATE}))
    torch.manual_seed(0)
    config = Mistral3Config(
        text_config={
            "model_type": "mistral",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 31,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 128,
            "vocab_size": len(tokenizer),
            "rms_norm_eps": 1e-5,
            "rope_theta": 1e9,
            "sliding_window": None,
        },
        vision_config={
            "model_type": "pixtral",
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "head_dim": 8,
            "image_size": 28,
            "patch_size": 14,
        },
        tie_word_embeddings=False,
    )
    model = Mistral3ForConditionalGeneration(config).to(torch.bfloat16)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.add_(torch.randn_like(weight), alpha=0.2 if "norm" in name else 0.05)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def mistral_embeds(mistral_folder: Path) -> dict[str, torch.Tensor]:
    """What diffusers' Flux2Pipeline makes of the prompts."""
    model = Mistral3ForConditionalGeneration.from_pretrained(mistral_folder, dtype=torch.bfloat16)
    return _by_flux2_pipeline(mistral_folder, model)


class _Processor(ProcessorMixin):
    """Mistral's PixtralProcessor without its image half, which needs torchvision."""

    def __init__(self, tokenizer: Any, chat_template: str) -> None:
        super().__init__(tokenizer, chat_template=chat_template)


@torch.no_grad()
def _by_flux2_pipeline(folder: Path, model: Any) -> dict[str, torch.Tensor]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    processor = _Processor(tokenizer, MISTRAL_TEMPLATE)
    return {
        prompt: Flux2Pipeline._get_mistral_3_small_prompt_embeds(model, processor, prompt, max_sequence_length=LENGTH)
        for prompt in PROMPTS
    }


@torch.no_grad()
def _by_klein_pipeline(model: Any) -> dict[str, torch.Tensor]:
    tokenizer = AutoTokenizer.from_pretrained(QWEN3_FOLDER)
    return {
        prompt: Flux2KleinPipeline._get_qwen3_prompt_embeds(model, tokenizer, prompt, max_sequence_length=LENGTH)
        for prompt in PROMPTS
    }


@pytest.fixture(scope="module")
def qwen3_embeds() -> dict[str, torch.Tensor]:
    """What diffusers' Flux2KleinPipeline makes of the prompts."""
    return _by_klein_pipeline(Qwen3ForCausalLM.from_pretrained(QWEN3_FOLDER, dtype=torch.bfloat16))


def _faults(checkpoint: Checkpoint) -> list[str]:
    return [str(error) for error in check_text_encoder(checkpoint)]


def _assert_equal(encoder: TextEncoder, expected: dict[str, torch.Tensor]) -> None:
    for prompt, embeds in expected.items():
        ours = encode(encoder, prompt)["prompt_embeds"]
        assert ours.shape == (1, LENGTH, 96)
        assert ours.dtype == embeds.dtype
        assert torch.equal(ours, embeds), f"differs for {prompt[:20]!r}"


SMALL = Encoder(family="flux2", dtype="bfloat16", max_sequence_length=LENGTH)


def test_qwen3_as_in_diffusers(tmp_path: Path, qwen3_embeds: dict[str, torch.Tensor]) -> None:
    checkpoint = _checkpoint(tmp_path, QWEN3_FOLDER, QWEN3_FOLDER)
    assert _faults(checkpoint) == []
    encoder = load_text_encoder(checkpoint, SMALL, CPU)
    _assert_equal(encoder, qwen3_embeds)
    assert len(encoder.model.layers) == 27  # of 28: nothing depends on the last one
    assert encoder.model.rotary_emb.inv_freq.dtype == torch.float32


def test_the_trainers_cast_rounds_the_rotary_frequencies(tmp_path: Path, qwen3_embeds: dict[str, torch.Tensor]) -> None:
    whole = Qwen3ForCausalLM.from_pretrained(QWEN3_FOLDER, dtype=torch.bfloat16).to(torch.bfloat16)
    cast = _by_klein_pipeline(whole)
    assert not torch.equal(cast["a cat"], qwen3_embeds["a cat"])
    checkpoint = _checkpoint(tmp_path, QWEN3_FOLDER, QWEN3_FOLDER)
    _assert_equal(load_text_encoder(checkpoint, replace(SMALL, text_encoder_cast=True), CPU), cast)


def test_a_single_file_of_qwen3(tmp_path: Path, qwen3_embeds: dict[str, torch.Tensor]) -> None:
    shutil.copy(QWEN3_FOLDER / "model.safetensors", tmp_path / "qwen_3_4b.safetensors")
    checkpoint = _checkpoint(tmp_path, tmp_path / "qwen_3_4b.safetensors", QWEN3_FOLDER)
    assert _faults(checkpoint) == []
    _assert_equal(load_text_encoder(checkpoint, SMALL, CPU), qwen3_embeds)


def test_the_config_of_the_hubs_repositories(tmp_path: Path, qwen3_embeds: dict[str, torch.Tensor]) -> None:
    """They were written by transformers 4: rope_theta at the top, no layer types."""
    config = json.loads((QWEN3_FOLDER / "config.json").read_text())
    config |= {"rope_theta": config.pop("rope_parameters")["rope_theta"], "rope_scaling": None}
    del config["layer_types"]
    (tmp_path / "config.json").write_text(json.dumps({**config, "transformers_version": "4.51.0"}))
    shutil.copy(QWEN3_FOLDER / "model.safetensors", tmp_path)
    checkpoint = _checkpoint(tmp_path, tmp_path, QWEN3_FOLDER)
    _assert_equal(load_text_encoder(checkpoint, SMALL, CPU), qwen3_embeds)


def test_mistral3_as_in_diffusers(
    tmp_path: Path, mistral_folder: Path, mistral_embeds: dict[str, torch.Tensor]
) -> None:
    checkpoint = _checkpoint(tmp_path, mistral_folder, mistral_folder)
    assert _faults(checkpoint) == []
    encoder = load_text_encoder(checkpoint, SMALL, CPU)
    _assert_equal(encoder, mistral_embeds)
    assert len(encoder.model.layers) == 30
    assert "language_model.model.layers.30.mlp.up_proj.weight" in load_file(mistral_folder / "model.safetensors")


def test_mistral3_with_the_trainers_cast(tmp_path: Path, mistral_folder: Path) -> None:
    model = Mistral3ForConditionalGeneration.from_pretrained(mistral_folder, dtype=torch.bfloat16).to(torch.bfloat16)
    checkpoint = _checkpoint(tmp_path, mistral_folder, mistral_folder)
    encoder = load_text_encoder(checkpoint, replace(SMALL, text_encoder_cast=True), CPU)
    _assert_equal(encoder, _by_flux2_pipeline(mistral_folder, model))


def _renamed(mistral_folder: Path, target: Path, names: dict[str, str]) -> None:
    stored = load_file(mistral_folder / "model.safetensors")
    renamed = {}
    for key, tensor in stored.items():
        prefix = next((prefix for prefix in names if key.startswith(prefix)), None)
        if prefix is not None:
            renamed[names[prefix] + key.removeprefix(prefix)] = tensor
    save_file(renamed, target)


def test_mistral3_in_the_naming_of_transformers_5_in_parts(
    tmp_path: Path, mistral_folder: Path, mistral_embeds: dict[str, torch.Tensor]
) -> None:
    names = {"language_model.model.": "model.language_model.", "vision_tower.": "model.vision_tower."}
    _renamed(mistral_folder, tmp_path / "all.safetensors", names)
    stored = load_file(tmp_path / "all.safetensors")
    (tmp_path / "all.safetensors").rename(tmp_path / "consolidated.safetensors")  # beside the index: never read
    parts = [f"model-{number:05}-of-00002.safetensors" for number in (1, 2)]
    of_key = {key: parts[number % 2] for number, key in enumerate(sorted(stored))}
    for part in parts:
        save_file({key: stored[key] for key in stored if of_key[key] == part}, tmp_path / part)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": of_key}))
    shutil.copy(mistral_folder / "config.json", tmp_path)
    checkpoint = _checkpoint(tmp_path, tmp_path, mistral_folder)
    _assert_equal(load_text_encoder(checkpoint, SMALL, CPU), mistral_embeds)


def test_comfyuis_single_file_of_mistral3(
    tmp_path: Path, mistral_folder: Path, mistral_embeds: dict[str, torch.Tensor]
) -> None:
    """30 layers, no final norm, the tokenizer's file among the tensors."""
    path = tmp_path / "mistral_3_small_flux2_bf16.safetensors"
    _renamed(mistral_folder, path, {"language_model.model.": "model."})
    pruned = {key: tensor for key, tensor in load_file(path).items() if "layers.30." not in key}
    del pruned["model.norm.weight"]
    save_file({**pruned, "tekken_model": torch.zeros(7, dtype=torch.uint8)}, path)
    checkpoint = _checkpoint(tmp_path, path, mistral_folder)
    assert _faults(checkpoint) == []
    _assert_equal(load_text_encoder(checkpoint, SMALL, CPU), mistral_embeds)


def test_comfyuis_scaled_fp8(tmp_path: Path) -> None:
    model = Qwen3ForCausalLM.from_pretrained(QWEN3_FOLDER, dtype=torch.bfloat16)
    stored = load_file(QWEN3_FOLDER / "model.safetensors")
    for name in [name for name in stored if name.endswith("_proj.weight")]:
        scale = stored[name].float().abs().max() / 448
        stored[name] = (stored[name].float() / scale).to(torch.float8_e4m3fn)
        stored[name.removesuffix("weight") + "weight_scale"] = scale
        meant = (stored[name].float() * scale).to(torch.bfloat16)
        model.get_parameter(name).data.copy_(meant)
    save_file(stored, tmp_path / "qwen_3_8b_fp8mixed.safetensors")
    checkpoint = _checkpoint(tmp_path, tmp_path / "qwen_3_8b_fp8mixed.safetensors", QWEN3_FOLDER)
    assert _faults(checkpoint) == []
    _assert_equal(load_text_encoder(checkpoint, SMALL, CPU), _by_klein_pipeline(model))


@pytest.mark.parametrize("qtype", ["qfloat8", "qint8", "qint4"])
def test_quantised_while_loading_as_by_quanto_afterwards(tmp_path: Path, qtype: str) -> None:
    model = Qwen3ForCausalLM.from_pretrained(QWEN3_FOLDER, dtype=torch.bfloat16)
    quanto.quantize(model, qtype)
    checkpoint = _checkpoint(tmp_path, QWEN3_FOLDER, QWEN3_FOLDER)
    encoder = load_text_encoder(checkpoint, replace(SMALL, quantize_text_encoder=qtype), CPU)
    _assert_equal(encoder, _by_klein_pipeline(model))
    assert isinstance(encoder.model.layers[0].mlp.up_proj.weight, QuantizedTensor)


def test_quantised_mistral3_with_the_trainers_cast(tmp_path: Path, mistral_folder: Path) -> None:
    model = Mistral3ForConditionalGeneration.from_pretrained(mistral_folder, dtype=torch.bfloat16).to(torch.bfloat16)
    quanto.quantize(model, "qfloat8")
    checkpoint = _checkpoint(tmp_path, mistral_folder, mistral_folder)
    request = replace(SMALL, quantize_text_encoder="qfloat8", text_encoder_cast=True)
    _assert_equal(load_text_encoder(checkpoint, request, CPU), _by_flux2_pipeline(mistral_folder, model))


def test_tokens_beyond_the_longest_are_counted(tmp_path: Path, mistral_folder: Path) -> None:
    qwen3 = load_text_encoder(_checkpoint(tmp_path, QWEN3_FOLDER, QWEN3_FOLDER), SMALL, CPU)
    mistral3 = load_text_encoder(_checkpoint(tmp_path, mistral_folder, mistral_folder), SMALL, CPU)
    for encoder in (qwen3, mistral3):
        assert tokens_cut(encoder, "a cat") == 0
        whole = len(encoder.tokenizer(PROMPTS[2].replace("[IMG]", ""))["input_ids"])
        assert whole - LENGTH < tokens_cut(encoder, PROMPTS[2].replace("[IMG]", ""))
    assert tokens_cut(mistral3, PROMPTS[2]) == tokens_cut(mistral3, PROMPTS[2].replace("[IMG]", ""))


@pytest.mark.parametrize("features", PARTNERS)
def test_the_sizes_of_the_real_ones(features: int) -> None:
    right = PARTNERS[features]
    config_class = Qwen3Config if right.kind is QWEN3 else MistralConfig
    config = config_class(
        hidden_size=right.hidden,
        intermediate_size=right.feed_forward,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        num_hidden_layers=31,
        vocab_size=151936 if right.kind is QWEN3 else 131072,
        **{key: value for key, value in right.kind.constants.items() if key != "head_dim"},
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    found = describe(Component("text_encoder.safetensors", SINGLE_FILE, ""), shapes, READING)
    assert (found.kind, found.text_features, found.prefix) == (right.kind, features, "model.")
    names = ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads", "head_dim")
    for name in (*names, "vocab_size", "rms_norm_eps", "rope_parameters", "hidden_act", "sliding_window"):
        assert getattr(found.config, name) == getattr(config, name), name


@pytest.mark.parametrize(
    ("stored", "what"),
    [
        (
            {"encoder.block.0.layer.0.SelfAttention.q.weight": (8, 8), "shared.weight": (9, 8)},
            "T5, a text encoder of FLUX.1",
        ),
        ({"text_model.encoder.layers.0.mlp.fc1.weight": (8, 8)}, "CLIP, a text encoder of FLUX.1"),
        (
            {
                "model.embed_tokens.weight": (9, 8),
                "model.layers.0.self_attn.q_proj.weight": (8, 8),
                "model.layers.0.self_attn.q_proj.bias": (8,),
            },
            "a Qwen2, another language model",
        ),
        ({"layers.0.attention.wq.weight": (8, 8)}, "a Mistral in its makers' naming (take the model-*.safetensors)"),
        ({"double_blocks.0.img_mod.lin.weight": (8, 8)}, "a transformer of FLUX.1 or Flex"),
        ({"weight": (1,)}, "a file that begins with weight"),
    ],
)
def test_other_text_encoders_are_refused(tmp_path: Path, stored: dict[str, tuple[int, ...]], what: str) -> None:
    save_file({key: torch.zeros(shape) for key, shape in stored.items()}, tmp_path / "other.safetensors")
    checkpoint = _checkpoint(tmp_path, tmp_path / "other.safetensors", QWEN3_FOLDER, features=7680)
    assert _faults(checkpoint) == [
        f"{tmp_path / 'other.safetensors'}: expected a Qwen3 or Mistral 3 text encoder, got {what}; "
        "tiny reads 7680 text features a token, those of Qwen/Qwen3-4B: name that as checkpoint.text_encoder"
    ]


@pytest.mark.parametrize(
    ("features", "right"),
    [(12288, "Qwen/Qwen3-8B"), (15360, "mistralai/Mistral-Small-3.1-24B-Instruct-2503"), (48, "hidden size 16")],
)
def test_the_right_one_for_another_model_is_named(tmp_path: Path, features: int, right: str) -> None:
    checkpoint = _checkpoint(tmp_path, QWEN3_FOLDER, QWEN3_FOLDER, features)
    (fault,) = _faults(checkpoint)
    assert "another model: Qwen3 of hidden size 32, feed-forward size 64" in fault
    assert right in fault


def test_one_that_differs_in_nothing_but_its_feed_forward_size_is_refused(tmp_path: Path) -> None:
    """Mistral-Nemo has the hidden size of Mistral-Small."""
    shapes = {
        "model.embed_tokens.weight": (2, 5120),
        "model.layers.0.input_layernorm.weight": (5120,),
        "model.layers.0.mlp.gate_proj.weight": (14336, 1),
        "model.layers.0.self_attn.q_proj.weight": (4096, 1),
        "model.layers.0.self_attn.k_proj.weight": (1024, 1),
        "model.layers.39.mlp.gate_proj.weight": (1, 1),
    }
    nemo = tmp_path / "nemo.safetensors"
    save_file({key: torch.zeros(shape, dtype=torch.bfloat16) for key, shape in shapes.items()}, nemo)
    (fault,) = _faults(_checkpoint(tmp_path, nemo, QWEN3_FOLDER, features=15360))
    assert "Mistral 3 of hidden size 5120, feed-forward size 14336" in fault
    assert "mistralai/Mistral-Small-3.1-24B-Instruct-2503" in fault


def _qwen3_copy(folder: Path, **config: Any) -> Path:
    copy = folder / "text_encoder"
    shutil.copytree(QWEN3_FOLDER, copy)
    values = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**values, **config}))
    return copy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "qwen2"}, "model_type: expected qwen3 or mistral3 or mistral, got qwen2"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config: expected plain weights"),
        ({"hidden_size": "wide"}, "config.json: cannot be read as the config of qwen3"),
        (
            {"rope_parameters": {"rope_theta": 5000000.0, "rope_type": "default"}},
            "config.json: rope_theta: expected 1000000.0, as Qwen3 has it, got 5000000.0: this is another model",
        ),
        (
            {"rope_parameters": {"rope_theta": 1e6, "rope_type": "yarn", "factor": 4.0}},
            "config.json: rope_type: expected default, as Qwen3 has it, got yarn: this is another model",
        ),
        ({"rms_norm_eps": 1e-5}, "config.json: rms_norm_eps: expected 1e-06, as Qwen3 has it, got 1e-05"),
    ],
)
def test_configs_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    checkpoint = _checkpoint(tmp_path, _qwen3_copy(tmp_path, **change), QWEN3_FOLDER)
    (fault,) = _faults(checkpoint)
    assert message in fault


def test_a_shallow_one_is_refused(tmp_path: Path) -> None:
    folder = _qwen3_copy(tmp_path)
    stored = load_file(folder / "model.safetensors")
    save_file(
        {key: stored[key] for key in stored if ".26." not in key and ".27." not in key}, folder / "model.safetensors"
    )
    (fault,) = _faults(_checkpoint(tmp_path, folder, QWEN3_FOLDER))
    assert "expected at least 27 layers of Qwen3, got 26: FLUX.2 reads its hidden states 9, 18, 27" in fault


def _with_gguf(folder: Path, path: Path) -> Checkpoint:
    components = dict(_checkpoint(folder, QWEN3_FOLDER, QWEN3_FOLDER).components)
    components["text_encoder"] = Component(str(path), GGUF, digest="")
    return Checkpoint("tiny", None, components)


@pytest.mark.parametrize(("kind", "dtype"), [("BF16", "bfloat16"), ("F32", "bfloat16"), ("F16", "float32")])
def test_a_gguf_file_is_the_same_as_safetensors(tmp_path: Path, kind: str, dtype: str) -> None:
    tensors = load_file(QWEN3_FOLDER / "model.safetensors")
    rounded = {key: tensor.half() if kind == "F16" and tensor.ndim > 1 else tensor for key, tensor in tensors.items()}
    save_file(rounded, tmp_path / "x.safetensors")
    encoder = replace(SMALL, dtype=dtype)
    theirs = load_text_encoder(_checkpoint(tmp_path, tmp_path / "x.safetensors", QWEN3_FOLDER), encoder, CPU)
    checkpoint = _with_gguf(tmp_path, write_encoder(tmp_path / "x.gguf", tensors, "qwen3", kind))
    assert _faults(checkpoint) == []
    ours = load_text_encoder(checkpoint, encoder, CPU)
    for prompt in PROMPTS:
        assert torch.equal(encode(ours, prompt)["prompt_embeds"], encode(theirs, prompt)["prompt_embeds"])


def test_a_quantised_gguf_file_is_near(tmp_path: Path, qwen3_embeds: dict[str, torch.Tensor]) -> None:
    tensors = load_file(QWEN3_FOLDER / "model.safetensors")
    checkpoint = _with_gguf(tmp_path, write_encoder(tmp_path / "x.gguf", tensors, "qwen3", "Q8_0"))
    ours = encode(load_text_encoder(checkpoint, SMALL, CPU), "a cat")["prompt_embeds"].float()
    theirs = qwen3_embeds["a cat"].float()
    assert 0 < torch.dist(ours, theirs) < 0.1 * theirs.norm()


def test_a_gguf_file_that_does_not_fit(tmp_path: Path) -> None:
    tensors = load_file(QWEN3_FOLDER / "model.safetensors")
    del tensors["model.layers.0.mlp.up_proj.weight"]
    path = write_encoder(tmp_path / "x.gguf", tensors, "qwen3")
    assert _faults(_with_gguf(tmp_path, path)) == [f"{path}: lacks blk.0.ffn_up.weight; is its download complete?"]
    stray = {"blk.0.attn_q.bias": torch.zeros(32)}
    path = write_gguf(tmp_path / "y.gguf", stray, "qwen3")
    assert f"{path}: lacks token_embd.weight, " in _faults(_with_gguf(tmp_path, path))[0]


def test_all_problems_are_told_together(tmp_path: Path) -> None:
    folder = _qwen3_copy(tmp_path)
    stored = load_file(folder / "model.safetensors")
    stored["model.layers.3.mlp.extra.weight"] = stored.pop("model.layers.5.mlp.up_proj.weight")
    stored["model.layers.4.mlp.up_proj.weight"] = torch.zeros(3, 3)
    save_file(stored, folder / "model.safetensors")
    (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text()[:1000])
    checkpoint = _checkpoint(tmp_path, folder, folder)
    weights, tokenizer = _faults(checkpoint)
    for named in ("layers.5.mlp.up_proj", "layers.3.mlp.extra", "layers.4.mlp.up_proj"):
        assert named in weights
    assert "tokenizer.json: cannot be read as part of a tokenizer" in tokenizer


def test_a_tokenizer_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(QWEN3_FOLDER / name, tmp_path)
    (fault,) = _faults(_checkpoint(tmp_path, QWEN3_FOLDER, tmp_path))
    assert fault.startswith(f"{tmp_path}: the tokenizer has no chat template")


def test_what_is_above_may_be_anything(tmp_path: Path, qwen3_embeds: dict[str, torch.Tensor]) -> None:
    folder = _qwen3_copy(tmp_path)
    stored = load_file(folder / "model.safetensors")
    stored["model.layers.27.mlp.up_proj.weight"] = torch.full((1, 1), torch.nan)
    stored["lm_head.weight"] = torch.zeros(1)
    save_file(stored, folder / "model.safetensors")
    _assert_equal(load_text_encoder(_checkpoint(tmp_path, folder, folder), SMALL, CPU), qwen3_embeds)


def test_the_tokenizer_of_another_text_encoder_is_refused(tmp_path: Path, mistral_folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"does not know \[INST\].*Mistral 3"):
        load_text_encoder(_checkpoint(tmp_path, mistral_folder, QWEN3_FOLDER), SMALL, CPU)
    with pytest.raises(CheckpointError, match="has more tokens than the text encoder's 425"):
        load_text_encoder(_checkpoint(tmp_path, QWEN3_FOLDER, mistral_folder), SMALL, CPU)


@pytest.mark.parametrize(
    ("file", "own", "other", "told"),
    [
        (
            "chat_template.jinja",
            "<think>\\n\\n</think>\\n\\n",
            "",
            r"a chat template that writes .* where the trainer's",
        ),
        ("chat_template.jinja", "message.content", "message.content[0]['text']", "takes no chat of Qwen3: "),
        (
            "tokenizer_config.json",
            '"pad_token": "<|endoftext|>"',
            '"pad_token": "<|im_end|>"',
            r"pads with <\|im_end\|>",
        ),
    ],
)
def test_a_tokenizer_that_was_edited_is_refused(tmp_path: Path, file: str, own: str, other: str, told: str) -> None:
    folder = _qwen3_copy(tmp_path)
    text = (folder / file).read_text()
    assert own in text
    (folder / file).write_text(text.replace(own, other))
    with pytest.raises(CheckpointError, match=f"{folder}: the .*{told}.*; expected the"):
        load_text_encoder(_checkpoint(tmp_path, folder, folder), SMALL, CPU)


def test_a_tokenizer_of_another_models_tokens_is_refused() -> None:
    tiny = Component(str(QWEN3_FOLDER), DIFFUSERS, digest="")
    with pytest.raises(
        CheckpointError, match=r"makes the tokens \[.*\] of 'a cat on a skateboard', where the trainer's"
    ):
        load_tokenizer(tiny, qwen3_chat(thinks=False), 151936)  # of any Qwen3 that is not made up


def test_nothing_is_in_memory_before_it_is_filled(tmp_path: Path, mistral_folder: Path) -> None:
    model, _ = build_text_encoder(_checkpoint(tmp_path, mistral_folder, mistral_folder))
    assert all(weight.is_meta for weight in model.parameters())
    assert max(READING.states[MISTRAL3.title]) == len(model.layers)
