"""FLUX.2 against goldens of the trainer's own pipeline: latents and pixels, through the family's four functions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from darkroom.checkpoint import Checkpoint
from darkroom.errors import ConfigError
from darkroom.render.adapter_file import read_adapter
from darkroom.render.adapters import MergedStack
from darkroom.render.base_model import Base, TextEncoder
from darkroom.render.families import family, flux2
from darkroom.render.families.flux2_exact import RotaryFloat32, RoundingRMSNorm, Swish
from darkroom.request import Request

GOLDEN = Path(__file__).parents[1] / "data" / "parity" / "golden"
SPEC = json.loads((GOLDEN / "cases.json").read_text())
TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-2}  # mean |difference| / mean |golden| on another kind of processor
CPU = torch.device("cpu")
MakeRequest = Callable[..., Request]
Pipeline = tuple[Base, MergedStack, dict[bool, TextEncoder]]


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def dtype(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def pipelines() -> dict[str, Pipeline]:
    """One warm pipeline a dtype: the cases also switch adapters on it, one after the other."""
    return {}


def _render(pipeline: Pipeline, request: Request) -> tuple[torch.Tensor, np.ndarray[Any, Any]]:
    base, _, encoders = pipeline
    encoder = encoders[request.text_encoder_cast]
    prompt = flux2.encode(encoder, request.prompt)
    neg = flux2.encode(encoder, request.neg) if request.uses_neg else None
    latents, sigmas = flux2.denoise(base, request, prompt, neg, lambda step: None)
    assert len(sigmas) == request.sample_steps + 1
    return latents, flux2.decode(base, latents)


def _relative(ours: torch.Tensor, golden: torch.Tensor) -> float:
    return ((ours.float() - golden).abs().mean() / golden.abs().mean()).item()


@pytest.mark.parametrize("case", SPEC["cases"], ids=lambda case: case["id"])
def test_golden(
    case: dict[str, Any],
    dtype: str,
    klein: Checkpoint,
    make_request: MakeRequest,
    pipelines: dict[str, Pipeline],
    adapters: Path,
    our_canary: str,
) -> None:
    if case["text_encoder_cast"] and dtype == "float32":
        pytest.skip("the cast changes nothing in float32")
    width, height = case["width"] // 16 * 16, case["height"] // 16 * 16
    named = {
        name: case[name] for name in ("prompt", "neg", "sample_steps", "guidance_scale", "seed", "text_encoder_cast")
    }
    request = make_request(**named, dtype=dtype, width=width, height=height)
    if dtype not in pipelines:
        base = flux2.load(klein, request, CPU)
        pipelines[dtype] = base, MergedStack(base), {}
    base, stack, encoders = pipelines[dtype]
    if request.text_encoder_cast not in encoders:
        encoders[request.text_encoder_cast] = flux2.load_text_encoder(klein, request, CPU)
    path = adapters / f"{case['adapter']}.safetensors"
    files = [(read_adapter(path, base.adapter_shapes()), case["network_multiplier"])] if case["adapter"] else []
    stack.apply(files, case["lora_merge"])

    latents, pixels = _render(pipelines[dtype], request)

    assert pixels.shape == (height, width, 3)
    theirs = load_file(GOLDEN / SPEC["trainer_canary"] / dtype / f"{case['id']}.safetensors")["latents"]
    assert _relative(latents, theirs) <= TOLERANCE[dtype]
    exact = GOLDEN / our_canary / dtype / f"{case['id']}.safetensors"
    if exact.is_file():
        assert torch.equal(latents.float(), load_file(exact)["latents"])
        assert np.array_equal(pixels, np.asarray(Image.open(exact.with_suffix(".png"))))


@pytest.fixture
def pipeline(klein: Checkpoint, make_request: MakeRequest) -> Pipeline:
    base = flux2.load(klein, make_request(), CPU)
    return base, MergedStack(base), {False: flux2.load_text_encoder(klein, make_request(), CPU)}


def test_fast_numerics_round_differently_but_mean_the_same(
    pipeline: Pipeline, klein: Checkpoint, make_request: MakeRequest
) -> None:
    request = make_request(dtype="float32", numerics="fast")
    fast = flux2.load(klein, request, CPU)
    exact, exact_pixels = _render(pipeline, request)
    rounded, rounded_pixels = _render((fast, MergedStack(fast), pipeline[2]), request)
    assert 0 < _relative(rounded, exact) < 1e-4
    assert np.abs(rounded_pixels.astype(int) - exact_pixels).max() <= 1


def test_the_stock_schedule_is_another_picture(pipeline: Pipeline, make_request: MakeRequest) -> None:
    ours, _ = _render(pipeline, make_request())
    stock, _ = _render(pipeline, make_request(schedule="diffusers"))
    assert _relative(stock, ours) > 0.02


def test_without_guidance_the_negative_prompt_is_not_asked_for(pipeline: Pipeline, make_request: MakeRequest) -> None:
    request = make_request(guidance_scale=1.0, neg="blurry")
    assert not request.uses_neg
    first, _ = _render(pipeline, request)
    second, _ = _render(pipeline, make_request(guidance_scale=1.0, neg="other"))
    assert torch.equal(first, second)


def test_a_prompt_is_padded_to_the_sequence_length(klein: Checkpoint, make_request: MakeRequest) -> None:
    encoder = flux2.load_text_encoder(klein, make_request(max_sequence_length=128), CPU)
    assert flux2.encode(encoder, "a cat").shape == (1, 128, 3 * 32)


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


def test_what_is_not_built_is_refused_together(klein: Checkpoint, make_request: MakeRequest) -> None:
    request = make_request(guidance="embedded", quantize_transformer="qfloat8", ctrl_images=("a.png",))
    with pytest.raises(ConfigError, match="not take reference images") as caught:
        flux2.load(klein, make_request(ctrl_images=("a.png",)), CPU)
    assert "ctrl_img" in str(caught.value)
    with pytest.raises(Exception, match=r"3 problems:(?s:.)*guidance(?s:.)*quantize.transformer(?s:.)*ctrl_img"):
        flux2.load(klein, request, CPU)


def test_an_unknown_family_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="family: expected one of flux2, got flux3"):
        family("flux3")
