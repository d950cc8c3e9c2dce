"""`darkroom lora`: what a file is, told from the file alone."""

import json
import math
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from darkroom.__main__ import main
from darkroom.errors import AdapterError
from darkroom.lora_files.families import NAMINGS
from darkroom.lora_files.file import read_lora
from darkroom.lora_files.inspection.facts import facts_of
from darkroom.lora_files.inspection.sizes import squared_norm
from darkroom.lora_files.keys import read_keys

KLEIN = 3072  # klein-4B's hidden size


def write(folder: Path, tensors: Mapping[str, torch.Tensor], name: str = "star", **metadata: str) -> Path:
    path = folder / f"{name}.safetensors"
    save_file(dict(tensors), path, metadata)
    return path


def pair(module: str, rows: int, columns: int, rank: int = 4) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(rows + columns)
    return {
        f"diffusion_model.{module}.lora_A.weight": torch.randn(rank, columns, generator=generator),
        f"diffusion_model.{module}.lora_B.weight": torch.randn(rows, rank, generator=generator),
    }


def test_tool_base_rank_and_training_are_told(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        pair("double_blocks.4.img_attn.proj", KLEIN, KLEIN),
        software=json.dumps({"name": "ai-toolkit", "version": "0.12.26"}),
        training_info=json.dumps({"step": 750, "epoch": 3}),
        ss_output_name="star_v1",
        ss_tag_frequency=json.dumps({"1_sks": {"sks": 1}}),
        ss_base_model_version="flux2_klein_4b",
    )
    facts = facts_of(file)
    assert (facts.tool, facts.kinds, facts.bases) == ("ai-toolkit or ComfyUI", ("lora",), ("FLUX.2 klein-4B",))
    assert (facts.layers, facts.layers_of_base) == (1, 89)
    assert (str(facts.training.trainer), facts.training.run) == ("ai-toolkit 0.12.26", "star_v1")
    assert (facts.training.step, facts.training.trigger_word) == (750, "sks")
    assert facts.sizes[0].ranks == (4,)


def test_the_size_of_a_lora_is_that_of_its_delta(tmp_path: Path) -> None:
    tensors = pair("double_blocks.0.img_attn.proj", 24, 16)
    tensors["diffusion_model.double_blocks.0.img_attn.proj.alpha"] = torch.tensor(2.0)
    delta = torch.matmul(*(tensors[f"diffusion_model.double_blocks.0.img_attn.proj.lora_{x}.weight"] for x in "BA"))
    (size,) = facts_of(write(tmp_path, tensors)).sizes
    assert size.norm == pytest.approx(delta.norm().item() * 2 / 4, rel=1e-5)
    assert size.alphas == (2.0,)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_size_of_a_lokr_is_that_of_its_kronecker_product(tmp_path: Path, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    left, up, down = (torch.randn(*shape, generator=generator).to(dtype) for shape in ((4, 4), (6, 2), (2, 4)))
    module = "diffusion_model.double_blocks.0.img_attn.proj"
    tensors = {f"{module}.lokr_w1": left, f"{module}.lokr_w2_a": up, f"{module}.lokr_w2_b": down}
    (size,) = facts_of(write(tmp_path, tensors)).sizes
    delta = torch.kron(left.double(), up.double() @ down.double())
    assert size.norm == pytest.approx(delta.norm().item(), rel=1e-9)
    assert size.ranks == (2,)


def test_the_parts_of_a_layer_count_together_and_blocks_stand_in_their_order(tmp_path: Path) -> None:
    tensors = {
        f"transformer.transformer_blocks.{block}.attn.{part}.lora_{side}.weight": torch.ones(*shape)
        for block in (10, 9)
        for part in ("to_q", "to_k")
        for side, shape in (("A", (1, 4)), ("B", (4, 1)))
    }
    sizes = facts_of(write(tmp_path, tensors)).sizes
    assert [size.name for size in sizes] == ["double_blocks.9.img_attn.qkv", "double_blocks.10.img_attn.qkv"]
    assert sizes[0].norm == pytest.approx(math.sqrt(16 + 16))  # two parts of 4 × 4 ones


def test_sizes_stand_beside_the_weights_of_a_base_that_is_given(tmp_path: Path) -> None:
    module = "double_blocks.0.img_attn.proj"
    lora = write(tmp_path, pair(module, 24, 16))
    base = write(tmp_path, {f"{module}.weight": torch.full((24, 16), 0.5), "img_in.weight": torch.ones(2, 2)}, "base")
    assert facts_of(lora, base).base_norms == {module: pytest.approx(0.5 * math.sqrt(24 * 16))}


def test_a_base_without_its_layers_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lora = write(tmp_path, pair("double_blocks.0.img_attn.proj", 24, 16))
    base = write(tmp_path, {"img_in.weight": torch.ones(2, 2)}, "base")
    assert main(["lora", str(lora), "--base", str(base)]) == 1
    assert "got one without double_blocks.0.img_attn.proj" in capsys.readouterr().err


def test_a_nan_that_signals_is_one_of_all_and_no_warning(tmp_path: Path) -> None:
    tensors = pair("double_blocks.0.img_attn.proj", 24, 16)
    tensors["diffusion_model.double_blocks.0.img_attn.proj.lora_A.weight"].view(torch.int32)[0, 0] = 0x7F800001
    (size,) = facts_of(write(tmp_path, tensors)).sizes
    assert not size.is_finite


def test_dead_layers_and_those_of_nan_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors = pair("double_blocks.0.img_attn.proj", 24, 16) | pair("double_blocks.1.img_attn.proj", 24, 16)
    tensors["diffusion_model.double_blocks.0.img_attn.proj.lora_B.weight"].zero_()
    tensors["diffusion_model.double_blocks.1.img_attn.proj.lora_A.weight"][0, 0] = math.nan
    facts = facts_of(write(tmp_path, tensors))
    assert facts.dead == ("double_blocks.0.img_attn.proj",)
    assert facts.not_finite == ("double_blocks.1.img_attn.proj",)
    assert main(["lora", facts.path]) == 0
    said = "1 delta of zeros: double_blocks.0.img_attn.proj; NaN or infinity in 1 layer: double_blocks.1.img_attn.proj"
    assert said in capsys.readouterr().out


def test_a_file_that_does_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors = pair("double_blocks.0.img_attn.proj", 24, 16)
    tensors["diffusion_model.double_blocks.0.img_attn.proj.lora_B.weight"].zero_()
    assert main(["lora", str(write(tmp_path, tensors))]) == 0
    assert "it changes nothing: every delta is zero" in capsys.readouterr().out


def test_what_cannot_be_applied_is_told_as_far_as_its_header_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = {"lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.ones(2, 4)}
    file = write(tmp_path, tensors, training_info=json.dumps({"step": 10, "epoch": 0}))
    assert main(["lora", str(file)]) == 0
    out = capsys.readouterr().out
    assert "is a LoRA of the text encoder as well" in out
    assert "step        10" in out


def test_a_file_of_alphas_alone_is_told_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, {"diffusion_model.double_blocks.0.img_attn.proj.alpha": torch.tensor(4.0)})
    assert main(["lora", str(file)]) == 0
    assert "expected one whole LoRA, LoKr or diff, got ['alpha']" in capsys.readouterr().out


def test_several_files_make_a_table_and_those_that_are_none_are_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write(tmp_path, pair("double_blocks.0.img_attn.proj", 24, 16), "first")
    model = write(tmp_path, {"img_in.weight": torch.ones(2, 2)}, "model")
    page = tmp_path / "page.safetensors"
    page.write_text("<!doctype html>")
    assert main(["lora", str(first), str(model), str(page)]) == 1
    said = capsys.readouterr()
    assert [line.split()[0] for line in said.out.splitlines()] == ["file", str(first)]
    assert f"{model}: expected a LoRA or LoKr, got a file without a key of one" in said.err
    assert "it is a web page" in said.err


def test_what_strangers_write_into_headers_commands_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, pair("double_blocks.0.img_attn.proj", 24, 16), ss_output_name="\x1b[2Jstar")
    assert main(["lora", str(file)]) == 0
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.int8])
def test_numbers_of_eight_bits_are_those_that_torch_reads(tmp_path: Path, dtype: torch.dtype) -> None:
    every = torch.arange(256).to(torch.uint8).view(dtype).double()
    numbers = torch.where(every.isfinite(), every, 0).to(dtype)
    save_file({"x": numbers}, tmp_path / "x.safetensors")
    expected = float((numbers.double() ** 2).sum())
    assert squared_norm(read_lora(tmp_path / "x.safetensors"), "x") == pytest.approx(expected, rel=1e-12)


def test_a_refusal_is_that_of_the_family_whose_layers_it_names(tmp_path: Path) -> None:
    twice = pair("layers.0.attention.out", 8, 8) | pair("layers.0.attention.to_out.0", 8, 8)
    assert facts_of(write(tmp_path, twice)).refused.startswith("names one layer twice, expected once: ")


def test_a_file_without_some_of_its_keys_is_written_as_the_refusal_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    kept = pair("single_blocks.7.linear2", KLEIN, 4 * KLEIN, rank=1)
    texts = {
        f"lora_te1_text_model_fc1.lora_{side}.weight": torch.zeros(1, 2, dtype=torch.float16) for side in ("up", "down")
    }
    again = {
        key.replace("single_blocks.7", "single_transformer_blocks.7").replace("linear2", "attn.to_out"): value + 1
        for key, value in kept.items()
    }
    file = write(tmp_path, {**kept, **texts, **again}, ss_output_name="star").name
    for _ in range(2):
        with pytest.raises(AdapterError) as refused:
            read_keys(read_lora(file), NAMINGS["flux2"])
        command = shlex.split(str(refused.value).rpartition("darkroom ")[2])
        assert main(command) == 0
        file = command[-1]
    assert len(read_keys(read_lora(file), NAMINGS["flux2"]).deltas) == 1
    assert read_lora(file).header.metadata == {"ss_output_name": "star"}
    assert {key: value.tolist() for key, value in load_file(file).items()} == {
        key: value.tolist() for key, value in again.items()
    }
    assert main(["lora", file, "--without", "x*", "-o", "y.safetensors"]) == 1
    assert "x*: expected what fits some of its 2 keys, such as diffusion_model" in capsys.readouterr().err
    assert main(["lora", file, "--without", "*.lora_A*", "-o", file]) == 1
    assert main(["lora", file, "-o", "z.safetensors"]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "star.less.less.safetensors",
        "star.less.safetensors",
        "star.safetensors",
    ]
