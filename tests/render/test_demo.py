"""The demo's files: small, good for the stock pipeline, and in ai-toolkit's formats. What they draw: tests/workflow."""

import json

import pytest
import torch
from diffusers import Flux2KleinPipeline
from safetensors import safe_open
from tests.places import REPOSITORY
from transformers import AutoTokenizer

from demo_training.adapter_file import factors
from demo_training.classifier import classify
from demo_training.text import train_tokenizer

DEMO = REPOSITORY / "demo"


def test_the_demo_stays_small() -> None:
    files = [file for file in DEMO.rglob("*") if file.is_file()]
    assert sorted({file.relative_to(DEMO).parts[0] for file in files}) == [
        "README.md",
        "demo_lokr.safetensors",
        "demo_lora.safetensors",
        "evaluation.json",
        "klein",
        "reference.png",
        "training",
    ]
    assert sum(file.stat().st_size for file in files) < 12_000_000


def test_the_tokenizer_renders_a_prompt_as_qwen3_does() -> None:
    tokenizer = AutoTokenizer.from_pretrained(DEMO / "klein" / "tokenizer")
    chat = [{"role": "user", "content": "a café 🐈"}]
    rendered = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    assert rendered == ("<|im_start|>user\na café 🐈<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")
    thinking = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert thinking.endswith("<|im_end|>\n<|im_start|>assistant\n")
    tokens = tokenizer(rendered, padding="max_length", max_length=64, truncation=True)
    used = sum(tokens["attention_mask"])
    assert tokenizer.decode(tokens["input_ids"][:used]) == rendered
    assert tokenizer.decode(tokens["input_ids"][used:]) == (64 - used) * "<|endoftext|>"


def test_the_tokenizer_is_the_one_that_the_tool_trains() -> None:
    stored = json.loads((DEMO / "klein/tokenizer/tokenizer.json").read_text())
    trained = json.loads(train_tokenizer().backend_tokenizer.to_str())
    assert stored["model"]["vocab"] == trained["model"]["vocab"]
    assert stored["model"]["merges"] == trained["model"]["merges"]


def test_the_stock_pipeline_draws_what_is_asked_for() -> None:
    torch.set_num_threads(1)
    pipeline = Flux2KleinPipeline.from_pretrained(DEMO / "klein", dtype=torch.bfloat16)
    pipeline.set_progress_bar_config(disable=True)
    pictures = pipeline(
        prompt="a big red circle on a white background",
        **{"height": 64, "width": 64, "num_inference_steps": 25, "guidance_scale": 4.0, "max_sequence_length": 40},
        generator=torch.Generator().manual_seed(1),
        output_type="np",
    ).images
    seen = classify((255 * pictures[0]).round().astype("uint8"))
    assert (seen.shape, seen.colour, seen.ground) == ("circle", "red", "white")


def test_the_lora_has_the_keys_and_the_header_that_ai_toolkit_writes() -> None:
    with safe_open(DEMO / "demo_lora.safetensors", "pt") as file:
        header = file.metadata()
        shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118  (no dict)
        dtypes = {file.get_slice(key).get_dtype() for key in shapes}
    assert dtypes == {"BF16"}
    assert len(shapes) == 2 * (2 * 8 + 4 * 2)
    assert shapes["diffusion_model.double_blocks.0.img_attn.qkv.lora_A.weight"] == [8, 160]
    assert shapes["diffusion_model.double_blocks.1.txt_mlp.2.lora_A.weight"] == [8, 480]
    assert shapes["diffusion_model.single_blocks.3.linear1.lora_B.weight"] == [1440, 8]
    assert shapes["diffusion_model.single_blocks.3.linear2.lora_A.weight"] == [8, 640]
    assert header["ss_base_model_version"] == "flux2_klein_4b"
    assert header["ss_output_name"] == "demo_lora"
    assert json.loads(header["ss_tag_frequency"]) == {"1_sks": {"sks": 1}}
    assert json.loads(header["training_info"])["step"] > 0
    assert len(header["sshs_legacy_hash"]) == 8


def test_the_lokr_has_full_factors_and_the_alpha_that_means_nothing() -> None:
    with safe_open(DEMO / "demo_lokr.safetensors", "pt") as file:
        module = "diffusion_model.single_blocks.0.linear1"
        (out_l, in_m), (out_k, in_n) = (file.get_slice(f"{module}.lokr_w{i}").get_shape() for i in (1, 2))
        assert (out_l * out_k, in_m * in_n) == (1440, 160)
        assert file.get_tensor(f"{module}.alpha").item() == 9999220736.0
        assert len(file.keys()) == 3 * (2 * 8 + 4 * 2)


@pytest.mark.parametrize(
    ("size", "pair"),  # the table of LoKr's factor -1 at the sizes of klein and dev
    [(3072, (48, 64)), (4096, (64, 64)), (6144, (64, 96)), (9216, (96, 96)), (27648, (144, 192)), (128, (8, 16))],
)
def test_factors_are_those_of_lokr(size: int, pair: tuple[int, int]) -> None:
    assert factors(size) == pair
