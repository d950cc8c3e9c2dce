"""Adapter files read strictly, and stacks of them merged into the base and undone bit for bit."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from darkroom.checkpoint import Checkpoint
from darkroom.errors import AdapterError, CheckpointError, ConfigError, StoreError, WeightFileError
from darkroom.files.weight_file import read_header, sha256_of
from darkroom.lora_files.flux2 import FLUX2_NAMING
from darkroom.lora_files.layers import layers_in
from darkroom.render.adapters.file import Adapter, read_adapter
from darkroom.render.adapters.merged import MergedStack
from darkroom.render.adapters.stack import AdapterStack
from darkroom.render.families.flux2 import flux2
from darkroom.render.weights.base import Base
from darkroom.request.request import Request

CPU = torch.device("cpu")
PREFIX = "diffusion_model."
PROJ = f"{PREFIX}double_blocks.0.img_attn.proj"  # 96 x 96
QKV = f"{PREFIX}double_blocks.0.txt_attn.qkv"  # 288 x 96
FINAL = f"{PREFIX}final_layer.adaLN_modulation.1"  # 192 x 96, halves swapped in diffusers
Tensors = dict[str, torch.Tensor]
Save = Callable[..., Path]


def _draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.02


def _lora(module: str, out: int, into: int, seed: int = 0) -> Tensors:
    return {
        f"{module}.lora_A.weight": _draw(4, into, seed=seed),
        f"{module}.lora_B.weight": _draw(out, 4, seed=seed + 1),
    }


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write tensors as an adapter file: save(tensors, ss_base_model_version="flux2_klein_9b") → path."""

    def write(tensors: Tensors, name: str = "my_lora", **metadata: str) -> Path:
        save_file(tensors, tmp_path / f"{name}.safetensors", metadata)
        return tmp_path / f"{name}.safetensors"

    return write


def _read(base: Base, path: Path) -> Adapter:
    return read_adapter(path, base.adapter_shapes(), FLUX2_NAMING)


def _differing(base: Base) -> list[str]:
    """The parameters that are not what the base's file has."""
    return [
        name
        for name, tensor in base.transformer.state_dict().items()
        if not torch.equal(tensor, base.weights.read(name, base.dtype, CPU))
    ]


def test_the_layers_of_files_are_those_of_the_loaded_base(base: Base, klein: Checkpoint) -> None:
    """In BFL's naming, as it comes, and in diffusers' own."""
    bfl = read_header(klein["transformer"].path).shapes
    assert layers_in(bfl, FLUX2_NAMING) == base.adapter_shapes()
    diffusers = {name: tuple(tensor.shape) for name, tensor in base.transformer.state_dict().items()}
    assert layers_in(diffusers, FLUX2_NAMING) == base.adapter_shapes()


@pytest.mark.parametrize(
    ("name", "kind", "keys"),
    [
        ("lora_bf16", "lora", 44),
        ("lora_bf16_alpha", "lora", 66),
        ("lora_all_linears_bf16", "lora", 62),
        ("lokr_full_bf16", "lokr", 66),
        ("lokr_full_fp16", "lokr", 66),
        ("lokr_dec_bf16_alpha", "lokr", 88),
    ],
)
def test_files_of_the_trainer(base: Base, adapters: Path, name: str, kind: str, keys: int) -> None:
    adapter = _read(base, adapters / f"{name}.safetensors")
    assert (adapter.format, adapter.matched_keys) == (kind, keys)


def test_a_lora_on_fused_qkv_is_cut_into_rows(base: Base, save: Save) -> None:
    adapter = _read(base, save(_lora(QKV, 288, 96)))
    before = base.transformer.transformer_blocks[0].attn.add_k_proj.weight.clone()
    assert MergedStack(base).apply([(adapter, 0.5)], "merged") == 3
    delta = (_draw(288, 4, seed=1) @ _draw(4, 96))[96:192]
    expected = (before.float() + 0.5 * delta).to(torch.bfloat16)
    assert torch.equal(base.transformer.transformer_blocks[0].attn.add_k_proj.weight, expected)


def test_a_full_delta_on_the_final_modulation_swaps_its_halves(base: Base, save: Save) -> None:
    diff = _draw(192, 96)
    adapter = _read(base, save({f"{FINAL}.diff": diff}))
    before = base.transformer.norm_out.linear.weight.clone()
    assert adapter.format == "diff"
    assert MergedStack(base).apply([(adapter, 1.0)], "merged") == 1
    expected = (before.float() + torch.cat([diff[96:], diff[:96]])).to(torch.bfloat16)
    assert torch.equal(base.transformer.norm_out.linear.weight, expected)


def test_alpha_scales_a_lora_and_a_decomposed_lokr(base: Base, save: Save) -> None:
    proj = base.transformer.transformer_blocks[0].attn.to_out[0].weight
    before = proj.clone().float()
    stack = MergedStack(base)
    stack.apply([(_read(base, save({**_lora(PROJ, 96, 96), f"{PROJ}.alpha": torch.tensor(2.0)})), 1.0)], "merged")
    delta = (_draw(96, 4, seed=1) @ _draw(4, 96)) * 0.5  # alpha 2, rank 4
    assert torch.equal(proj, (before + delta).to(torch.bfloat16))
    lokr = {
        f"{PROJ}.lokr_w1": _draw(8, 12),
        f"{PROJ}.lokr_w2_a": _draw(12, 2),
        f"{PROJ}.lokr_w2_b": _draw(2, 8),
        f"{PROJ}.alpha": torch.tensor(8.0),
    }
    stack.apply([(_read(base, save(lokr)), 1.0)], "merged")
    delta = torch.kron(_draw(8, 12), _draw(12, 2) @ _draw(2, 8)) * 4.0  # alpha 8, rank 2
    assert torch.equal(proj, (before + delta).to(torch.bfloat16))


def test_old_lokr_names_mean_the_same(base: Base, adapters: Path, save: Save) -> None:
    new = load_file(adapters / "lokr_full_bf16.safetensors")
    old = {}
    for key, tensor in new.items():
        layer, _, suffix = key.removeprefix(PREFIX).rpartition(".")
        old[f"lycoris_{layer.replace('.', '_')}.{suffix}"] = tensor
    assert "lycoris_double_blocks_0_img_attn_qkv.lokr_w1" in old
    stack = MergedStack(base)
    stack.apply([(_read(base, adapters / "lokr_full_bf16.safetensors"), 1.0)], "merged")
    expected = {name: tensor.clone() for name, tensor in base.transformer.state_dict().items()}
    stack.apply([], "merged")
    stack.apply([(_read(base, save(old)), 1.0)], "merged")
    assert all(torch.equal(tensor, expected[name]) for name, tensor in base.transformer.state_dict().items())


def test_a_stack_is_summed_and_rounded_once(base: Base, save: Save) -> None:
    first = _read(base, save(_lora(PROJ, 96, 96, seed=0), "first"))
    second = _read(base, save({f"{PROJ}.diff": _draw(96, 96, seed=9)}, "second"))
    proj = base.transformer.transformer_blocks[0].attn.to_out[0].weight
    before = proj.clone()
    MergedStack(base).apply([(first, 1.0), (second, -0.5)], "merged")
    delta = _draw(96, 4, seed=1) @ _draw(4, 96)
    expected = before.float() + delta + _draw(96, 96, seed=9) * -0.5
    assert torch.equal(proj, expected.to(torch.bfloat16))


def test_a_stack_in_dtype_rounds_after_each_file(base: Base, save: Save) -> None:
    first = _read(base, save({f"{PROJ}.diff": _draw(96, 96, seed=5)}, "first"))
    second = _read(base, save({f"{PROJ}.diff": _draw(96, 96, seed=9)}, "second"))
    proj = base.transformer.transformer_blocks[0].attn.to_out[0].weight
    expected = proj.clone()
    MergedStack(base).apply([(first, 1.0), (second, -0.5)], "merged_in_dtype")
    for seed, multiplier in ((5, 1.0), (9, -0.5)):
        expected.add_(_draw(96, 96, seed=seed).to(torch.bfloat16), alpha=multiplier)
    assert torch.equal(proj, expected)


def test_switches_rewrite_only_what_changes_and_never_drift(base: Base, adapters: Path, save: Save) -> None:
    lora, lokr, everything = (
        _read(base, adapters / f"{name}.safetensors")
        for name in ("lora_bf16", "lokr_dec_bf16_alpha", "lora_all_linears_bf16")
    )
    proj = _read(base, save(_lora(PROJ, 96, 96)))
    stack = MergedStack(base)
    assert stack.apply([], "merged") == 0
    assert stack.apply([(proj, 1.0)], "merged") == 1
    assert _differing(base) == ["transformer_blocks.0.attn.to_out.0.weight"]
    assert stack.apply([(proj, 1.0)], "merged") == 0
    assert stack.apply([(proj, 1.0)], "merged_in_dtype") == 1
    assert stack.apply([(lora, 1.0)], "merged") == 30
    assert stack.apply([(lora, 1.0), (proj, 0.5)], "merged") == 1
    assert stack.apply([(lora, 0.0), (proj, 0.5)], "merged") == 30
    assert stack.apply([(everything, -1.5), (lokr, 0.25)], "merged_in_dtype") == 39
    assert stack.apply([(lora, 0.0)], "merged") == 39
    assert _differing(base) == []


def test_the_way_to_a_stack_does_not_matter(base: Base, adapters: Path) -> None:
    lora, lokr = (_read(base, adapters / f"{name}.safetensors") for name in ("lora_bf16", "lokr_full_fp16"))
    stack = MergedStack(base)
    stack.apply([(lora, 0.5)], "merged")
    direct = {name: tensor.clone() for name, tensor in base.transformer.state_dict().items()}
    for files in ([(lokr, 1.0)], [(lokr, 1.0), (lora, 2.0)], [(lora, -1.0)], [], [(lora, 0.5)]):
        stack.apply(files, "merged")
    assert all(torch.equal(tensor, direct[name]) for name, tensor in base.transformer.state_dict().items())


def test_deltas_below_what_the_weights_can_hold_are_lost_in_rounding(base: Base, save: Save) -> None:
    whole = _lora(PROJ, 96, 96)
    tiny = {key: tensor * 1e-6 for key, tensor in whole.items()}
    stack, small, large = MergedStack(base), _read(base, save(tiny)), _read(base, save(whole))
    assert not stack.is_lost_in_rounding
    stack.apply([(small, 1.0)], "merged")
    assert stack.is_lost_in_rounding
    stack.apply([(small, 1.0), (large, 1.0)], "merged")
    assert not stack.is_lost_in_rounding
    stack.apply([(small, 1.0)], "merged")
    assert stack.is_lost_in_rounding
    stack.apply([], "merged")
    assert not stack.is_lost_in_rounding


def test_a_layer_left_torn_by_an_error_is_written_again(
    klein: Checkpoint, make_request: Callable[..., Request], save: Save
) -> None:
    base = flux2.load(klein, make_request(dtype="bfloat16").base, CPU)
    stack = MergedStack(base)
    lora, broken = (_read(base, save(_lora(QKV, 288, 96))) for _ in range(2))
    stack.apply([(lora, 1.0)], "merged")
    for delta in (delta for own in broken.deltas.values() for delta in own):
        del delta.tensors["lora_A.weight"]
    with pytest.raises(KeyError):
        stack.apply([(broken, 1.0)], "merged")
    assert stack.apply([(lora, 1.0)], "merged") == 3
    assert stack.apply([], "merged") == 3
    assert _differing(base) == []


def test_an_unknown_regime_is_refused(base: Base) -> None:
    with pytest.raises(ConfigError, match="lora_merge: expected one of merged, merged_in_dtype, live, got fused"):
        AdapterStack(base).apply([], "fused")


def test_a_live_lora_runs_in_float32_beside_its_layer(base: Base, save: Save) -> None:
    """Of a fused layer each part has its rows; the base's weights stay as they are."""
    adapter = _read(base, save(_lora(QKV, 288, 96)))
    layer = base.transformer.transformer_blocks[0].attn.add_k_proj
    x = _draw(5, 96).to(torch.bfloat16)
    plain = layer(x)
    assert AdapterStack(base).apply([(adapter, 0.5)], "live") == 3
    branch = x.float() @ _draw(4, 96).T @ _draw(288, 4, seed=1)[96:192].T * 0.5
    assert torch.equal(layer(x), plain + branch.to(torch.bfloat16))
    assert _differing(base) == []


def test_live_and_merged_are_the_same_layer_but_for_rounding(base: Base, save: Save) -> None:
    """Every kind of delta, alone and stacked, with alpha, and on the layer whose halves are swapped."""
    kinds = [_lora(QKV, 288, 96), _lora(FINAL, 192, 96), {f"{FINAL}.diff": _draw(192, 96)}]
    lokr = {f"{QKV}.lokr_w1": _draw(16, 8), f"{QKV}.lokr_w2_a": _draw(18, 2), f"{QKV}.lokr_w2_b": _draw(2, 12)}
    kinds.append({**lokr, f"{QKV}.alpha": torch.tensor(4.0)})
    adapters = [_read(base, save(tensors)) for tensors in kinds]
    base.transformer.float()
    stack, x = AdapterStack(base), _draw(5, 96)
    layers = [base.transformer.norm_out.linear, *_qkv(base)]
    for files in ([(adapter, 0.7)] for adapter in adapters):
        assert _close(stack, layers, x, files)
    assert _close(stack, layers, x, [(adapter, 0.1 * number) for number, adapter in enumerate(adapters, 1)])


def _qkv(base: Base) -> list[torch.nn.Linear]:
    attention = base.transformer.transformer_blocks[0].attn
    return [attention.add_q_proj, attention.add_k_proj, attention.add_v_proj]


def _close(
    stack: AdapterStack, layers: list[torch.nn.Linear], x: torch.Tensor, files: list[tuple[Adapter, float]]
) -> bool:
    plain = [layer(x) for layer in layers]
    outputs = []
    for regime in ("live", "merged"):
        stack.apply(files, regime)
        outputs.append([layer(x) for layer in layers])
    stack.apply([], "merged")
    assert any(not torch.allclose(live, base) for live, base in zip(outputs[0], plain, strict=True))
    return all(torch.allclose(live, merged, atol=2e-3) for live, merged in zip(*outputs, strict=True))


def test_a_live_stack_is_taken_down_again(base: Base, save: Save) -> None:
    adapter = _read(base, save(_lora(QKV, 288, 96)))
    layer, x = base.transformer.transformer_blocks[0].attn.add_k_proj, _draw(5, 96).to(torch.bfloat16)
    plain, stack = layer(x), AdapterStack(base)
    assert [stack.apply([(adapter, strength)], "live") for strength in (1.0, 1.0, 0.5, 0.0)] == [3, 0, 3, 0]
    assert torch.equal(layer(x), plain)
    stack.apply([(adapter, 1.0)], "live")
    assert stack.apply([(adapter, 1.0)], "merged") == 3
    assert torch.equal(layer(x), torch.nn.functional.linear(x, layer.weight))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            {**_lora(PROJ, 4096, 4096), **_lora(f"{PREFIX}single_blocks.23.linear2", 4096, 16384)},
            r"my_lora.safetensors: this LoRA is for FLUX.2 klein-9B: hidden size 4096, the base has 96 "
            r"\(its header says flux2_klein_9b\). 4 of 4 keys cannot be applied: diffusion_model.double_blocks.0",
        ),
        (_lora(QKV, 9216, 3072), "this LoRA is for FLUX.2 klein-4B: hidden size 3072"),
        (_lora(f"{PREFIX}single_blocks.47.linear1", 55296, 6144), "this LoRA is for FLUX.2 dev: hidden size 6144"),
        (_lora(f"{PREFIX}double_blocks.0.img_mlp.0", 768, 128), "for another base: hidden size 128, the base has 96"),
        (
            {**_lora(f"{PREFIX}double_blocks.4.img_attn.proj", 96, 96), **_lora(PROJ, 96, 96)},
            "5 double and 0 single blocks or more, the base has 2 and 3.*2 of 4 keys cannot be applied: "
            "diffusion_model.double_blocks.4.img_attn.proj.lora_A.weight",
        ),
        (_lora(f"{PREFIX}guidance_in.in_layer", 96, 256), "its layers do not fit this base.*2 of 2 keys"),
        (
            _lora("transformer.single_transformer_blocks.0.proj_mlp", 384, 96),
            "this LoRA is for FLUX.1, Flex.1 or Flex.2",
        ),
        (_lora("transformer.single_transformer_blocks.0.proj_mlp", 12288, 3072), "for Flex.1 or FLUX.1 or Flex.2 .its"),
        (
            _lora("diffusion_model.layers.0.mixing.to_q", 96, 96),
            "for another model: none of its layers is one of FLUX",
        ),
        (_lora("layers.0.attention.to_q", 96, 96), "is in an unknown naming"),
        ({f"{PROJ}.lora_A.weight": _draw(4, 96, 3, 3)}, "has weights of convolutions"),
        ({**_lora(PROJ, 96, 96), f"{PROJ}.alpha": torch.ones(4)}, "its tensors do not fit each other"),
        ({**_lora(PROJ, 96, 96), f"{PROJ}.magnitude": _draw(96)}, r"is DoRA \(magnitude\)"),
        ({**_lora(PROJ, 96, 96), f"{PROJ}.dora_scale": _draw(96)}, r"is DoRA \(dora_scale\)"),
        ({**_lora(PROJ, 96, 96), f"{PROJ}.lora_magnitude_vector.default": _draw(96)}, r"DoRA \(lora_magnitude_vector"),
        ({f"{PROJ}.hada_w1_b": _draw(4, 96)}, r"is LoHa \(hada_w1_a\)"),
        ({f"{PROJ}.diff_b": _draw(96)}, "is a delta with biases"),
        ({f"{PROJ}.lokr_t2": _draw(4, 4, 3, 3)}, "is LoKr of convolutions"),
        ({f"{PROJ}.lora_A.weight": _draw(96, 96)}, "lora_A without lora_B: type fullrank cannot be applied"),
        ({f"{PROJ}.lora_B.weight": _draw(96, 96)}, "expected one whole LoRA, LoKr or diff, got .'lora_B.weight'"),
        ({**_lora(PROJ, 96, 96), f"{PROJ}.diff": _draw(96, 96)}, "expected one whole LoRA, LoKr or diff"),
        ({f"{PROJ}.lokr_w1": _draw(8, 8), f"{PROJ}.lokr_w2_a": _draw(12, 2)}, "expected one whole LoRA"),
        ({**_lora(PROJ, 96, 96), f"{PROJ}.lora_B.weight": _draw(96, 5)}, "its tensors do not fit each other"),
        ({**_lora(PROJ, 96, 96), f"{PROJ}.step": torch.ones(1)}, "got others: diffusion_model.*img_attn.proj.step"),
        (
            {f"{PROJ}.diff": torch.ones(96, 96, dtype=torch.int8)},
            "expected float32, float16, bfloat16 or float8, got I8",
        ),
        ({f"{PROJ}.diff": torch.full((96, 96), float("nan"))}, "img_attn.proj.diff: holds NaN or infinity"),
        ({**_lora(PROJ, 96, 96), f"{PROJ}.alpha": torch.tensor(float("inf"))}, "alpha: holds NaN or infinity"),
        ({}, "holds no tensors"),
    ],
)
def test_what_cannot_be_applied_whole_is_refused(base: Base, save: Save, tensors: Tensors, message: str) -> None:
    path = save(tensors, ss_base_model_version="flux2_klein_9b")
    with pytest.raises(AdapterError, match=message):
        _read(base, path)


def test_one_layer_in_both_formats_is_refused(base: Base, save: Save) -> None:
    names = (PROJ, "lycoris_double_blocks_0_img_attn_proj")
    shapes = {"lokr_w1": (8, 8), "lokr_w2": (12, 12)}
    both = {f"{name}.{factor}": _draw(*shape) for name in names for factor, shape in shapes.items()}
    with pytest.raises(AdapterError, match="names one layer twice, expected once: diffusion"):
        _read(base, save(both))


def test_missing_and_truncated_files(base: Base, save: Save, tmp_path: Path) -> None:
    with pytest.raises(WeightFileError, match=r"gone.safetensors: no such file"):
        _read(base, tmp_path / "gone.safetensors")
    path = save(_lora(PROJ, 96, 96))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WeightFileError, match=r"my_lora.safetensors: truncated: expected"):
        _read(base, path)


def test_a_base_whose_file_is_another_one_by_now_is_not_read_on_whatever_its_times_say(
    klein: Checkpoint, make_request: Callable[..., Request], save: Save, tmp_path: Path
) -> None:
    copy = Path(shutil.copy(klein["transformer"].path, tmp_path / "klein.safetensors"))
    moved = replace(klein["transformer"], path=str(copy))
    checkpoint = replace(klein, components={**klein.components, "transformer": moved})
    base = flux2.load(checkpoint, make_request(dtype="bfloat16").base, CPU)
    lora, written = _read(base, save(_lora(QKV, 288, 96))), copy.stat().st_mtime_ns
    copy.write_bytes(copy.read_bytes()[:-4] + b"\1\2\3\4")
    os.utime(copy, ns=(written, written))
    with pytest.raises(CheckpointError, match="changed since the base model was loaded"):
        MergedStack(base).apply([(lora, 1.0)], "merged")


def test_a_lora_that_was_replaced_after_the_plan_was_made_is_refused(base: Base, save: Save) -> None:
    path = save(_lora(QKV, 288, 96))
    planned = sha256_of(path)
    read_adapter(path, base.adapter_shapes(), FLUX2_NAMING, sha256=planned)
    save(_lora(QKV, 288, 96, seed=7))
    with pytest.raises(StoreError, match=r"my_lora\.safetensors: changed after the plan was made, and pict"):
        read_adapter(path, base.adapter_shapes(), FLUX2_NAMING, sha256=planned)
