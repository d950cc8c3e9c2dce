"""The demo's files: the same each time, and good for the stock pipeline and for a reader of ai-toolkit's formats."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import Flux2KleinPipeline
from safetensors import safe_open
from transformers import AutoTokenizer

from darkroom.demo_folder import DEMO_FILES
from darkroom.errors import StoreError
from darkroom.render.demo import make_demo
from darkroom.render.demo_adapters import factors


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "checkpoints" / "demo"
    make_demo(folder)
    return folder


def bytes_by_name(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_demo_has_exactly_the_listed_files_and_stays_small(demo: Path) -> None:
    files = bytes_by_name(demo)
    assert sorted(files) == sorted(DEMO_FILES)
    assert sum(map(len, files.values())) < 6_000_000
    assert [entry.name for entry in demo.parent.iterdir()] == ["demo"]  # nothing temporary is left


def test_a_second_build_has_the_same_bytes_and_leaves_the_random_state_alone(demo: Path, tmp_path: Path) -> None:
    torch.manual_seed(7)
    state = torch.get_rng_state()
    make_demo(tmp_path / "again")
    assert torch.equal(torch.get_rng_state(), state)
    assert bytes_by_name(tmp_path / "again") == bytes_by_name(demo)


def test_an_earlier_demo_is_replaced(tmp_path: Path) -> None:
    broken = tmp_path / "klein" / "vae" / "config.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("")
    make_demo(tmp_path)
    assert json.loads(broken.read_text())["latent_channels"] == 32


def test_a_folder_with_other_files_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(StoreError, match=r"expected a new folder or an earlier demo, got thesis\.tex"):
        make_demo(tmp_path)
    assert bytes_by_name(tmp_path) == {"thesis.tex": b"mine"}


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="the demo's files cannot be written"):
        make_demo(tmp_path / "file" / "demo")


def test_the_tokenizer_renders_a_prompt_as_qwen3_does(demo: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(demo / "klein" / "tokenizer")
    chat = [{"role": "user", "content": "a café 🐈"}]
    rendered = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    assert rendered == ("<|im_start|>user\na café 🐈<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")
    thinking = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert thinking.endswith("<|im_end|>\n<|im_start|>assistant\n")
    tokens = tokenizer(rendered, padding="max_length", max_length=64, truncation=True)
    used = sum(tokens["attention_mask"])
    assert used == 1 + len("user\n") + len("a café 🐈".encode()) + 2 + 1 + len("assistant\n") + 1 + 2 + 1 + 2
    assert tokenizer.decode(tokens["input_ids"][:used]) == rendered
    assert tokenizer.decode(tokens["input_ids"][used:]) == (64 - used) * "<|endoftext|>"


def test_the_stock_pipeline_renders_it(demo: Path) -> None:
    torch.set_num_threads(1)
    pipeline = Flux2KleinPipeline.from_pretrained(demo / "klein", dtype=torch.bfloat16)
    pipeline.set_progress_bar_config(disable=True)

    def render(prompt: str, seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        size = {"height": 64, "width": 64, "num_inference_steps": 2}
        return pipeline(prompt=prompt, generator=generator, guidance_scale=4.0, output_type="pt", **size).images[0]

    cat, dog, other_cat = render("a cat", 1), render("a dog", 1), render("a cat", 2)
    assert cat.shape == (3, 64, 64)
    assert 0.05 < cat.float().std() < 0.4  # neither grey nor black and white
    assert (cat - dog).abs().mean() > 0.02
    assert (cat - other_cat).abs().mean() > 0.05


def test_the_lora_has_the_keys_and_the_header_that_ai_toolkit_writes(demo: Path) -> None:
    with safe_open(demo / "demo_lora.safetensors", "pt") as file:
        header = file.metadata()
        shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118  (no dict)
        dtypes = {file.get_slice(key).get_dtype() for key in shapes}
    assert dtypes == {"BF16"}
    assert len(shapes) == 2 * (2 * 8 + 2 * 2)
    assert shapes["diffusion_model.double_blocks.0.img_attn.qkv.lora_A.weight"] == [4, 128]
    assert shapes["diffusion_model.double_blocks.1.txt_mlp.2.lora_A.weight"] == [4, 384]
    assert shapes["diffusion_model.single_blocks.1.linear1.lora_B.weight"] == [1152, 4]
    assert shapes["diffusion_model.single_blocks.1.linear2.lora_A.weight"] == [4, 512]
    assert header["ss_base_model_version"] == "flux2_klein_4b"
    assert header["ss_output_name"] == "demo_lora"
    assert json.loads(header["ss_tag_frequency"]) == {"1_sks": {"sks": 1}}
    assert json.loads(header["training_info"]) == {"step": 250, "epoch": 1}
    assert header["sshs_legacy_hash"] == "e3b0c442"


def test_the_lokr_has_full_factors_and_the_alpha_that_means_nothing(demo: Path) -> None:
    with safe_open(demo / "demo_lokr.safetensors", "pt") as file:
        module = "diffusion_model.single_blocks.0.linear1"
        assert file.get_slice(f"{module}.lokr_w1").get_shape() == [32, 8]
        assert file.get_slice(f"{module}.lokr_w2").get_shape() == [36, 16]
        assert file.get_tensor(f"{module}.alpha").item() == 9999220736.0
        assert len(file.keys()) == 3 * (2 * 8 + 2 * 2)


@pytest.mark.parametrize(
    ("size", "pair"),  # the table of LoKr's factor -1 at the sizes of klein and dev
    [(3072, (48, 64)), (4096, (64, 64)), (6144, (64, 96)), (9216, (96, 96)), (27648, (144, 192)), (128, (8, 16))],
)
def test_factors_are_those_of_lokr(size: int, pair: tuple[int, int]) -> None:
    assert factors(size) == pair
