"""FLUX.2 against goldens of the trainer's own pipeline: latents and pixels of all cases, through the family."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from darkroom.checkpoint import Checkpoint
from darkroom.errors import CheckpointError, ConfigError
from darkroom.reference_image import read_reference
from darkroom.render.adapter_file import read_adapter
from darkroom.render.adapter_stack import AdapterStack
from darkroom.render.base_model import Base, TextEncoder
from darkroom.render.families import family, flux2
from darkroom.render.families.flux2_exact import RotaryFloat32, RoundingRMSNorm, Swish
from darkroom.request import ReferenceImage, Request

PARITY = Path(__file__).parents[1] / "data" / "parity"
GOLDEN = PARITY / "golden"
SPEC = json.loads((GOLDEN / "cases.json").read_text())
HASHES = json.loads((GOLDEN / "hashes.json").read_text())  # canary → dtype → case → [latents, pixels]
DTYPES = ("float32", "bfloat16")
RUNS = [
    (case, dtype) for dtype in DTYPES for case in SPEC["cases"] if case["id"] in HASHES[SPEC["trainer_canary"]][dtype]
]
TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-2}  # mean |difference| / mean |golden| on another kind of processor
LEVELS = {"float32": 0.01, "bfloat16": 2.0}  # mean |difference| of a pixel, 0 to 255, there
CPU = torch.device("cpu")
MakeRequest = Callable[..., Request]


@dataclass
class Warm:
    """One pipeline: the cases also switch adapters and regimes on it, one after the other."""

    checkpoint: Checkpoint
    base: Base
    stack: AdapterStack
    encoders: dict[tuple[bool, str | None], TextEncoder] = field(default_factory=dict)

    def encode(self, request: Request, text: str) -> dict[str, torch.Tensor]:
        key = (request.text_encoder_cast, request.quantize_text_encoder)
        if key not in self.encoders:
            self.encoders[key] = flux2.load_text_encoder(self.checkpoint, request, CPU)
        return flux2.encode(self.encoders[key], text)


def warm(checkpoint: Checkpoint, request: Request) -> Warm:
    base = flux2.load(checkpoint, request, CPU)
    return Warm(checkpoint, base, AdapterStack(base))


@pytest.fixture(scope="module")
def goldens() -> dict[str, dict[str, torch.Tensor]]:
    """The trainer's: by dtype, `<case>.latents` and, for small pictures, `<case>.pixels`."""
    return {dtype: load_file(GOLDEN / f"{dtype}.safetensors") for dtype in DTYPES}


@pytest.fixture(scope="module")
def pipelines() -> dict[tuple[Any, ...], Warm]:
    return {}


def _render(pipeline: Warm, request: Request) -> tuple[torch.Tensor, np.ndarray[Any, Any]]:
    embeds = load_file(request.prompt_embeds) if request.prompt_embeds else pipeline.encode(request, request.prompt)
    neg = pipeline.encode(request, request.neg) if request.uses_neg else None
    seen = [flux2.encode_reference(pipeline.base, request, read_reference(image.path)) for image in request.ctrl_images]
    latents, sigmas = flux2.denoise(pipeline.base, request, embeds, neg, seen, lambda step: None)
    assert len(sigmas) == request.sample_steps + 1
    return latents, flux2.decode(pipeline.base, latents)


def _relative(ours: torch.Tensor, golden: torch.Tensor) -> float:
    return ((ours.float() - golden).abs().mean() / golden.abs().mean()).item()


def _hash(values: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]


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


@pytest.mark.parametrize(("case", "dtype"), RUNS, ids=lambda value: value if isinstance(value, str) else value["id"])
def test_golden(
    case: dict[str, Any],
    dtype: str,
    klein: Checkpoint,
    dev: Checkpoint,
    make_request: MakeRequest,
    pipelines: dict[tuple[Any, ...], Warm],
    goldens: dict[str, dict[str, torch.Tensor]],
    our_canary: str,
) -> None:
    request = _request(case, dtype, make_request)
    key = (case["model"], dtype, case["quantize"])
    if key not in pipelines:
        pipelines[key] = warm({"klein": klein, "dev": dev}[case["model"]], request)
    pipeline = pipelines[key]
    path = PARITY / "adapters" / f"{case['adapter']}.safetensors"
    layers = pipeline.base.adapter_shapes()
    files = [(read_adapter(path, layers), case["network_multiplier"])] if case["adapter"] else []
    pipeline.stack.apply(files, case["lora_merge"])

    latents, pixels = _render(pipeline, request)

    assert pixels.shape == (request.height, request.width, 3)
    theirs = goldens[dtype]
    assert _relative(latents, theirs[f"{case['id']}.latents"].float()) <= TOLERANCE[dtype]
    if f"{case['id']}.pixels" in theirs:
        golden = theirs[f"{case['id']}.pixels"].numpy().astype(float)
        assert np.abs(golden - pixels).mean() <= LEVELS[dtype]
    if our_canary in HASHES:
        assert [_hash(latents.float().numpy()), _hash(pixels)] == HASHES[our_canary][dtype][case["id"]]


@pytest.fixture
def pipeline(klein: Checkpoint, make_request: MakeRequest) -> Warm:
    return warm(klein, make_request())


def test_fast_numerics_round_differently_but_mean_the_same(
    pipeline: Warm, klein: Checkpoint, make_request: MakeRequest
) -> None:
    request = make_request(dtype="float32", numerics="fast")
    exact, exact_pixels = _render(pipeline, make_request())
    rounded, rounded_pixels = _render(warm(klein, request), request)
    assert 0 < _relative(rounded, exact) < 1e-4
    assert np.abs(rounded_pixels.astype(int) - exact_pixels).max() <= 1


def test_the_stock_schedule_is_another_picture(pipeline: Warm, make_request: MakeRequest) -> None:
    ours, _ = _render(pipeline, make_request())
    stock, _ = _render(pipeline, make_request(schedule="diffusers"))
    assert _relative(stock, ours) > 0.02


def test_without_guidance_the_negative_prompt_is_not_asked_for(pipeline: Warm, make_request: MakeRequest) -> None:
    request = make_request(guidance_scale=1.0, neg="blurry")
    assert not request.uses_neg
    first, _ = _render(pipeline, request)
    second, _ = _render(pipeline, make_request(guidance_scale=1.0, neg="other"))
    assert torch.equal(first, second)


def test_a_prompt_is_padded_to_the_sequence_length(klein: Checkpoint, make_request: MakeRequest) -> None:
    encoder = flux2.load_text_encoder(klein, make_request(max_sequence_length=128), CPU)
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
        flux2.check(klein, make_request(guidance="embedded"))
    with pytest.raises(CheckpointError, match=r"has a guidance embedder.* guidance: embedded"):
        flux2.check(dev, make_request(guidance="cfg"))


def test_encoded_prompts_have_to_fit_the_transformer(
    klein: Checkpoint, make_request: MakeRequest, tmp_path: Path
) -> None:
    path = tmp_path / "wide.safetensors"
    save_file({"prompt_embeds": torch.zeros(1, 512, 7680)}, path)
    with pytest.raises(ConfigError, match=r"wide.safetensors: .* 96 features a token, got 7680"):
        flux2.check(klein, make_request(prompt_embeds=str(path), prompt=""))


def test_an_unknown_family_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="family: expected one of flux2, got flux3"):
        family("flux3")
