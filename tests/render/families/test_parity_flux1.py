"""FLUX.1, Flex.1 and Flex.2 against goldens of the trainer's previews: latents and pixels of all cases."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image
from tests.render.goldens import (
    CPU,
    FLUX1,
    Goldens,
    Warm,
    flux1_checkpoint,
    warm,
)

from darkroom.errors import CheckpointError, ConfigError, ImageError
from darkroom.render.families.flux1 import flex2, flux
from darkroom.render.families.flux1.loop import pack
from darkroom.render.family import family
from darkroom.request.parts import ReferenceImage
from darkroom.request.request import Request

GOLDENS = Goldens.read(FLUX1 / "golden")
MakeRequest = Callable[..., Request]


CHECKPOINTS = {model: flux1_checkpoint(model) for model in ("flux", "flex2")}


@pytest.fixture
def make(make_request: MakeRequest) -> MakeRequest:
    """A request of the tiny Flex.2, 64x64, 4 steps, float32, with changes."""

    def made(**changes: Any) -> Request:
        return make_request(**{"family": "flex2", "checkpoint": "tiny_flex2", "guidance": "embedded", **changes})

    return made


@pytest.fixture(scope="module")
def pipelines() -> dict[tuple[Any, ...], Warm]:
    return {}


def _image(name: str) -> ReferenceImage:
    return ReferenceImage(str(FLUX1 / "references" / name), sha256=name)


def _request(case: dict[str, Any], dtype: str, make: MakeRequest) -> Request:
    named = ("prompt", "neg", "sample_steps", "guidance_scale", "seed", "attn_masking")
    return make(
        **{name: case[name] for name in named},
        family=case["model"],
        dtype=dtype,
        width=case["width"] // 16 * 16,
        height=case["height"] // 16 * 16,
        quantize_transformer=case["quantize"],
        quantize_text_encoder=case["quantize"],
        ctrl_images=(_image(case["reference"]),) if case["reference"] else (),
        ctrl_idx=case["ctrl_idx"] if case["reference"] else None,
    )


@pytest.mark.parametrize(("case", "dtype"), GOLDENS.parameters)
def test_golden(
    case: dict[str, Any],
    dtype: str,
    make: MakeRequest,
    pipelines: dict[tuple[Any, ...], Warm],
    our_canary: str,
) -> None:
    request = _request(case, dtype, make)
    key = (case["model"], dtype, case["quantize"])
    if key not in pipelines:
        pipelines[key] = warm(family(case["model"]), CHECKPOINTS[case["model"]], request)
    pipeline = pipelines[key]
    path = FLUX1 / "adapters" / f"{case['adapter']}.safetensors"
    pipeline.adapt(path if case["adapter"] else None, case["network_multiplier"], case["lora_merge"])

    latents, pixels = pipeline.render(request)

    assert pixels.shape == (request.sampling.height, request.sampling.width, 3)
    GOLDENS.check(case, dtype, latents, pixels, our_canary)


def test_the_goldens_are_all_there() -> None:
    assert len(GOLDENS.cases) == 88
    assert len(GOLDENS.runs) == 167


@pytest.fixture
def pipeline(make: MakeRequest) -> Warm:
    return warm(family("flex2"), CHECKPOINTS["flex2"], make())


def test_the_sigmas_are_those_of_the_scheduler(pipeline: Warm, make: MakeRequest) -> None:
    request = make(width=1024, height=1024)
    pipeline.base.transformer.forward = lambda hidden_states, **_: (hidden_states[..., :64],)  # instead of 4096 tokens
    _, sigmas = flex2.denoise(pipeline.base, request.sampling, _embeds(), None, [], lambda step: None)
    assert sigmas == pytest.approx([1, 0.904531, 0.759511, 0.512844, 0], abs=1e-6)


def test_what_the_transformer_sees(pipeline: Warm, make: MakeRequest) -> None:
    """64 channels of noise, 64 of nothing kept, 4 of all to be painted, 64 of no control; rounded like diffusers."""
    seen: dict[str, torch.Tensor] = {}

    def forward(**inputs: Any) -> tuple[torch.Tensor]:
        seen.update(inputs)
        return (inputs["hidden_states"][..., :64],)

    pipeline.base.transformer.forward = forward
    steps: list[int] = []
    request = make(sample_steps=1, width=64, height=32, guidance_scale=3.5)
    latents, _ = flex2.denoise(pipeline.base, request.sampling, _embeds(), None, [], steps.append)
    states = seen["hidden_states"]
    noise = torch.randn(1, 16, 4, 8, generator=torch.Generator().manual_seed(42))
    assert states.shape == (1, 8, 196)
    assert torch.equal(states[..., :64], pack(noise))
    assert states[0, 0, :4].tolist() == noise[0, 0, :2, :2].flatten().tolist()
    assert [set(states[..., a:b].flatten().tolist()) for a, b in ((64, 128), (128, 132), (132, 196))] == [{0}, {1}, {0}]
    assert seen["img_ids"].tolist()[:5] == [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 0, 3], [0, 1, 0]]
    assert not seen["txt_ids"].any()
    assert (seen["guidance"].tolist(), seen["guidance"].dtype, seen["timestep"].tolist()) == ([3.5], torch.float32, [1])
    assert (latents.shape, steps) == ((1, 16, 4, 8), [0])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_control_image_is_drawn_before_the_noise(dtype: str, make: MakeRequest) -> None:
    request = make(dtype=dtype, ctrl_idx=1, ctrl_images=(_image("c_64x64.png"),), sample_steps=1)
    base = flex2.load(CHECKPOINTS["flex2"], request.base, CPU)
    seen: list[torch.Tensor] = []
    base.transformer.forward = lambda hidden_states, **_: (seen.append(hidden_states), hidden_states[..., :64])[1:]
    image = flex2.encode_reference(base, request.sampling, Image.new("RGB", (80, 70), (200, 30, 90)))
    flex2.denoise(base, request.sampling, _embeds(), None, [image], lambda step: None)
    posterior = DiagonalGaussianDistribution(torch.cat([image["mean"], 2 * image["std"].log()], 1))
    posterior.std = image["std"]  # a logarithm of it would round once more
    generator = torch.Generator().manual_seed(42)
    control = (posterior.sample(generator) - 0.1159) * 0.3611
    noise = torch.randn(1, 16, 8, 8, generator=generator, dtype=base.dtype)
    assert torch.equal(seen[0][..., 132:], pack(control))
    assert torch.equal(seen[0][..., :64], pack(noise))


def test_transparent_is_painted_and_opaque_is_kept(pipeline: Warm, make: MakeRequest) -> None:
    request = make(ctrl_idx=0, ctrl_images=(_image("half.png"),), sample_steps=1)
    image = Image.new("RGBA", (64, 64), (200, 30, 90, 255))
    image.paste((0, 0, 0, 0), (0, 0, 32, 64))
    seen: list[torch.Tensor] = []
    pipeline.base.transformer.forward = lambda hidden_states, **_: (
        seen.append(hidden_states),
        hidden_states[..., :64],
    )[1:]
    encoded = flex2.encode_reference(pipeline.base, request.sampling, image)
    flex2.denoise(pipeline.base, request.sampling, _embeds(), None, [encoded], lambda step: None)
    assert encoded["keep"][0, 0, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    rows = seen[0].reshape(4, 4, 196)
    assert rows[0, :, 128].tolist() == [1, 1, 0, 0]  # the mask
    assert [bool(rows[0, column, 64:128].any()) for column in range(4)] == [False, False, True, True]


def test_inpainting_needs_an_alpha_channel(pipeline: Warm, make: MakeRequest) -> None:
    request = make(ctrl_idx=0, ctrl_images=(_image("c_64x64.png"),))
    with pytest.raises(ImageError, match=r"c_64x64\.png: has no alpha channel, which ctrl_idx: 0 \(inpaint\) needs"):
        flex2.encode_reference(pipeline.base, request.sampling, Image.new("RGB", (64, 64)))


def test_flux_takes_no_image(pipeline: Warm, make: MakeRequest) -> None:
    with pytest.raises(ConfigError, match=r"tiny_flex2: FLUX\.1 and Flex\.1 take no reference images"):
        flux.encode_reference(pipeline.base, make().sampling, Image.new("RGB", (64, 64)))


def test_fast_numerics_are_the_same(pipeline: Warm, make: MakeRequest) -> None:
    request = make(numerics="fast")
    exact, fast = pipeline.render(make())[0], warm(family("flex2"), CHECKPOINTS["flex2"], request).render(request)[0]
    assert torch.equal(exact, fast)


def test_embeddings_of_another_model_are_refused(pipeline: Warm) -> None:
    other = {"prompt_embeds": torch.zeros(1, 512, 96), "pooled_prompt_embeds": torch.zeros(1, 32)}
    said = r"e\.safetensors: is for another model: the transformer of tiny_flex2 reads features .*48.* got .*96"
    with pytest.raises(CheckpointError, match=said):
        pipeline.base.check_features(other, "e.safetensors")


def test_there_is_no_schedule_but_the_trainers(pipeline: Warm, make: MakeRequest) -> None:
    sampling = make(schedule="diffusers").sampling
    with pytest.raises(ConfigError, match="schedule: expected aitk, got diffusers: tiny_flex2's trainer"):
        flex2.denoise(pipeline.base, sampling, _embeds(), None, [], lambda step: None)


def _embeds() -> dict[str, torch.Tensor]:
    return {"prompt_embeds": torch.zeros(1, 512, 48), "pooled_prompt_embeds": torch.zeros(1, 32)}
