"""FLUX.2 against goldens of the trainer's own pipeline: latents and pixels of all cases, through the family."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.places import DATA
from tests.render.goldens import Goldens, Warm, relative, warm

from darkroom.checkpoint import Checkpoint
from darkroom.errors import CheckpointError, ConfigError
from darkroom.render.families.flux2 import flux2
from darkroom.render.families.flux2.exact import RotaryFloat32, RoundingRMSNorm, Swish
from darkroom.render.family import family
from darkroom.request.parts import ReferenceImage
from darkroom.request.request import Request

PARITY = DATA / "parity"
GOLDENS = Goldens.read(PARITY / "golden")
CPU = torch.device("cpu")
MakeRequest = Callable[..., Request]


@pytest.fixture(scope="module")
def pipelines() -> dict[tuple[Any, ...], Warm]:
    return {}


def _request(case: dict[str, Any], dtype: str, make_request: MakeRequest) -> Request:
    named = ("sample_steps", "guidance_scale", "seed", "text_encoder_cast", "neg")
    text: dict[str, Any] = {"prompt": case["prompt"], "guidance": "cfg"}
    if case["model"] == "dev":
        text = {
            "prompt": "",
            "prompt_embeds": str(PARITY / "dev" / "prompt_embeds.safetensors"),
            "guidance": "embedded",
        }
    return make_request(
        **text,
        **{name: case[name] for name in named},
        dtype=dtype,
        width=case["width"] // 16 * 16,
        height=case["height"] // 16 * 16,
        quantize_transformer=case["quantize"],
        quantize_text_encoder=case["quantize"],
        ctrl_images=tuple(ReferenceImage(str(PARITY / "references" / f"{name}.png")) for name in case["references"]),
    )


@pytest.mark.parametrize(("case", "dtype"), GOLDENS.parameters)
def test_golden(
    case: dict[str, Any],
    dtype: str,
    klein: Checkpoint,
    dev: Checkpoint,
    make_request: MakeRequest,
    pipelines: dict[tuple[Any, ...], Warm],
    our_canary: str,
) -> None:
    request = _request(case, dtype, make_request)
    key = (case["model"], dtype, case["quantize"])
    if key not in pipelines:
        pipelines[key] = warm(family("flux2"), {"klein": klein, "dev": dev}[case["model"]], request)
    pipeline = pipelines[key]
    path = PARITY / "adapters" / f"{case['adapter']}.safetensors"
    pipeline.adapt(path if case["adapter"] else None, case["network_multiplier"], case["lora_merge"])

    latents, pixels = pipeline.render(request)

    assert pixels.shape == (request.sampling.height, request.sampling.width, 3)
    GOLDENS.check(case, dtype, latents, pixels, our_canary)


@pytest.fixture
def pipeline(klein: Checkpoint, make_request: MakeRequest) -> Warm:
    return warm(family("flux2"), klein, make_request())


def test_fast_numerics_round_differently_but_mean_the_same(
    pipeline: Warm, klein: Checkpoint, make_request: MakeRequest
) -> None:
    request = make_request(dtype="float32", numerics="fast")
    exact, exact_pixels = pipeline.render(make_request())
    rounded, rounded_pixels = warm(family("flux2"), klein, request).render(request)
    assert 0 < relative(rounded, exact) < 1e-4
    assert np.abs(rounded_pixels.astype(int) - exact_pixels).max() <= 1


@pytest.mark.parametrize(("tokens_of_neg", "passes"), [(512, 4), (40, 8)])
def test_both_texts_of_guidance_go_in_one_pass_if_they_are_as_long(
    pipeline: Warm, make_request: MakeRequest, tokens_of_neg: int, passes: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    texts = [{"prompt_embeds": torch.randn(1, tokens, 96, generator=generator)} for tokens in (512, tokens_of_neg)]
    sampling, seen = make_request().sampling, list[int]()
    batched = replace(pipeline.base, model=replace(pipeline.base.model, batched_guidance=True))
    handle = batched.transformer.register_forward_pre_hook(
        lambda module, inputs, named: seen.append(len(named["hidden_states"])), with_kwargs=True
    )
    at_once, _ = flux2.denoise(batched, sampling, *texts, [], lambda step: None)
    handle.remove()
    one_by_one, _ = flux2.denoise(pipeline.base, sampling, *texts, [], lambda step: None)
    assert seen == [8 // passes] * passes
    assert relative(at_once, one_by_one) < 1e-4


def test_rotary_tables_are_computed_once_a_picture(pipeline: Warm, make_request: MakeRequest) -> None:
    generator = torch.Generator().manual_seed(0)
    texts = [{"prompt_embeds": torch.randn(1, tokens, 96, generator=generator)} for tokens in (512, 40)]
    seen = list[int]()
    handle = pipeline.base.transformer.pos_embed.tables.register_forward_hook(
        lambda module, inputs, tables: seen.append(len(tables[0]))
    )
    for size in (64, 80, 64):
        flux2.denoise(pipeline.base, make_request(width=size, height=size).sampling, *texts, [], lambda step: None)
    handle.remove()
    assert seen == [16, 512, 40, 25, 512, 40, 16, 512, 40]


def test_the_stock_schedule_is_another_picture(pipeline: Warm, make_request: MakeRequest) -> None:
    ours, _ = pipeline.render(make_request())
    stock, _ = pipeline.render(make_request(schedule="diffusers"))
    assert relative(stock, ours) > 0.02


def test_without_guidance_the_negative_prompt_is_not_asked_for(pipeline: Warm, make_request: MakeRequest) -> None:
    request = make_request(guidance_scale=1.0, neg="blurry")
    assert not request.uses_neg
    first, _ = pipeline.render(request)
    second, _ = pipeline.render(make_request(guidance_scale=1.0, neg="other"))
    assert torch.equal(first, second)


def test_a_prompt_is_padded_to_the_sequence_length(klein: Checkpoint, make_request: MakeRequest) -> None:
    encoder = flux2.load_text_encoder(klein, make_request(max_sequence_length=128).encoder, CPU)
    assert flux2.encode(encoder, "a cat")["prompt_embeds"].shape == (1, 128, 3 * 32)


def test_rms_norm_rounds_before_the_weight() -> None:
    norm = RoundingRMSNorm(torch.nn.Parameter(torch.tensor([1.5, 1.5, 1.5], dtype=torch.bfloat16)), eps=1e-6)
    x = torch.tensor([1.0, 2.0, 3.0], dtype=torch.bfloat16)
    rounded = (torch.tensor([1.0, 2.0, 3.0]) / (14 / 3) ** 0.5).to(torch.bfloat16)  # 0.462890625, 0.92578125, 1.390625
    assert norm(x).tolist() == (rounded.float() * 1.5).to(torch.bfloat16).tolist()
    assert norm(x).tolist() == [0.6953125, 1.390625, 2.09375]  # the last: 2.078125 if rounded after


def test_rotary_tables_are_computed_in_float32() -> None:
    cosines, sines = RotaryFloat32(2000, (4, 2))(torch.tensor([[0, 0], [511, 3]]))
    angles = torch.tensor([511.0, 511.0 * (1.0 / torch.tensor(2000.0) ** 0.5).item(), 3.0])
    assert cosines.shape == sines.shape == (2, 6)
    assert torch.equal(cosines[0], torch.ones(6))
    assert torch.allclose(cosines[1], torch.cos(angles).repeat_interleave(2), atol=1e-4)
    assert torch.allclose(sines[1], torch.sin(angles).repeat_interleave(2), atol=1e-4)


def test_swish_rounds_twice() -> None:
    x = torch.linspace(-4, 4, 1001, dtype=torch.bfloat16)
    assert torch.equal(Swish()(x), x * (1 / (1 + torch.exp(-x.float()))).to(torch.bfloat16))
    assert not torch.equal(Swish()(x), torch.nn.functional.silu(x))


def test_guidance_has_to_be_the_models_own(klein: Checkpoint, dev: Checkpoint, make_request: MakeRequest) -> None:
    with pytest.raises(CheckpointError, match=r"has no guidance embedder.* guidance: cfg"):
        flux2.check(klein, make_request(guidance="embedded").base, ())
    with pytest.raises(CheckpointError, match=r"has a guidance embedder.* guidance: embedded"):
        flux2.check(dev, make_request(guidance="cfg").base, ())


def test_encoded_prompts_have_to_fit_the_transformer(
    klein: Checkpoint, make_request: MakeRequest, tmp_path: Path
) -> None:
    path = tmp_path / "wide.safetensors"
    save_file({"prompt_embeds": torch.zeros(1, 512, 7680)}, path)
    with pytest.raises(ConfigError, match=r"wide.safetensors: .* 96 features a token, got 7680"):
        flux2.check(klein, make_request().base, [str(path)])


def test_an_unknown_family_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="family: expected one of flux2, flux, flex2, zimage, got flux3"):
        family("flux3")
