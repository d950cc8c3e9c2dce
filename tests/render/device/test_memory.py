"""The memory rule against what is measured, and which mode is chosen for which numbers."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLFlux2
from tests.places import REPOSITORY
from tests.render.device.memory_meter import META, FusedAttention, Meter, hang_lora
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from darkroom.errors import ConfigError, DeviceMemoryError
from darkroom.lora_files.flux2 import FLUX2_NAMING
from darkroom.render.adapters.file import read_adapter
from darkroom.render.adapters.merged import MergedStack
from darkroom.render.device.footprint import QUANTIZING_BYTES, tensor_bytes
from darkroom.render.device.mode import (
    BLOCK,
    IN_FILE,
    MODEL,
    ON_DEVICE,
    PINNED,
    RESIDENT,
    TEXT_LADDER,
    Budget,
    Footprint,
    Workload,
    lower,
    plan,
    with_margin,
)
from darkroom.render.families.flux2 import flux2
from darkroom.render.families.flux2 import real_sizes as flux2_sizes
from darkroom.render.families.flux2.exact import make_transformer_exact, make_vae_exact
from darkroom.render.families.flux2.footprint import (
    coding_bytes,
    denoising_bytes,
    model_footprints,
    text_model_footprints,
)
from darkroom.render.families.flux2.text import PARTNERS
from darkroom.render.families.language_model import QWEN3
from darkroom.render.memory_table import memory_table
from darkroom.render.weights.base import Base
from darkroom.render.weights.quantization import quantizer
from darkroom.request.request import Request

GB = 10**9
CPU = torch.device("cpu")
MEGAPIXEL = Workload(1024, 1024, references=0, text_tokens=512, live_adapters=())
SMALL = replace(MEGAPIXEL, width=64, height=64)
DOCS = REPOSITORY / "docs" / "memory.md"
CONF = REPOSITORY / "conf" / "model"


# ---- the rule, against what is measured ----


@pytest.mark.parametrize(
    ("model", "dtype"),
    [
        ("flux2_klein_4b", torch.bfloat16),
        ("flux2_klein_4b", torch.float32),
        ("flux2_klein_9b", torch.bfloat16),
        ("flux2", torch.bfloat16),
    ],
)
@torch.no_grad()
def test_denoising_takes_less_than_estimated_but_not_half_of_it(model: str, dtype: torch.dtype) -> None:
    transformer = _meta_transformer(model, dtype)
    for picture in (SMALL, MEGAPIXEL, replace(MEGAPIXEL, references=3), replace(MEGAPIXEL, passes=2)):
        estimated = denoising_bytes(transformer, dtype, picture)
        assert estimated / 2 < _forward_peak(transformer, picture) <= estimated


@torch.no_grad()
def test_live_adapters_compute_in_float32_and_take_more(tmp_path: Path) -> None:
    transformer = _meta_transformer("flux2_klein_4b", torch.bfloat16)
    branches = hang_lora(transformer)
    file = tmp_path / "lora.safetensors"
    file.write_bytes(bytes(2 * sum(branch.numel() for branch in branches)))
    picture = replace(MEGAPIXEL, live_adapters=(str(file),))
    estimated = denoising_bytes(transformer, torch.bfloat16, picture)
    adapters = 4 * sum(branch.numel() for branch in branches)
    assert estimated / 2 < _forward_peak(transformer, picture, branches) + adapters <= estimated


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@torch.no_grad()
def test_coding_takes_less_than_estimated_but_not_half_of_it(dtype: torch.dtype, exact: bool) -> None:
    with META:
        vae = AutoencoderKLFlux2()
    _cast(vae, dtype)
    if exact:
        make_vae_exact(vae)
    estimated = coding_bytes(vae, dtype, MEGAPIXEL)
    latents, pixels = torch.empty(1, 32, 128, 128, dtype=dtype, device=META), torch.empty(1, 3, 1024, 1024, device=META)
    with Meter([latents, *vae.parameters(), *vae.buffers()]) as meter, FusedAttention():
        vae.decode(latents, return_dict=False)
    assert estimated / 2 < meter.peak <= estimated
    with Meter([*vae.parameters(), *vae.buffers()]) as meter, FusedAttention():
        vae.encode(pixels.to(dtype))
    assert meter.peak <= estimated


@pytest.mark.parametrize("model", ["flux2_klein_4b", "flux2_klein_9b", "flux2"])
@torch.no_grad()
def test_encoding_takes_less_than_estimated_but_not_half_of_it(model: str) -> None:
    sizes = flux2_sizes.MODELS[model]
    encoder = _cast(flux2_sizes.text_encoder(sizes), torch.bfloat16)
    tokens = torch.empty(1, 512, dtype=torch.long, device=META)
    mask: Any = torch.empty(1, 1, 512, 512, dtype=torch.bfloat16, device=META)
    if PARTNERS[sizes.text_features].kind is QWEN3:
        mask = {"full_attention": mask}
    with Meter([tokens, *encoder.parameters(), *encoder.buffers()]) as meter, FusedAttention():
        states = encoder(
            input_ids=tokens, attention_mask=mask, position_ids=tokens, output_hidden_states=True, use_cache=False
        ).hidden_states
        torch.cat([states[9], states[18], states[27]], -1)
    estimated = text_model_footprints(encoder, 512, torch.bfloat16)[None].computing
    assert estimated / 2 < meter.peak <= estimated


@torch.no_grad()
def test_denoising_on_a_cpu_is_within_the_estimate(base: Base, make_request: Callable[..., Request]) -> None:
    request = make_request(dtype="bfloat16", width=256, height=256, sample_steps=1, guidance_scale=1.0)
    prompt = {"prompt_embeds": torch.randn(1, 512, base.transformer.config.joint_attention_dim).bfloat16()}
    given = [*base.transformer.parameters(), *base.transformer.buffers(), *prompt.values()]
    with Meter(given) as meter:
        flux2.denoise(base, request.sampling, prompt, None, (), on_step=lambda step: None)
    drawn = 256 * 128 * 2  # kept during the loop; at a real hidden size a thousandth of the estimate, and within it
    assert meter.peak <= denoising_bytes(base.transformer, torch.bfloat16, Workload.of(request)) + drawn


@pytest.mark.parametrize("file", ["lora_bf16_alpha.safetensors", "lokr_full_bf16.safetensors"])
def test_merging_is_within_the_estimate(base: Base, adapters: Path, file: str) -> None:
    """Of two adapters, and of weights as a whole, as on a GPU."""
    stack = MergedStack(base, rows=10**6)
    adapter = read_adapter(str(adapters / file), base.adapter_shapes(), FLUX2_NAMING)
    given = [
        *base.transformer.parameters(),
        *(t for own in adapter.deltas.values() for delta in own for t in delta.tensors.values()),
    ]
    footprint = model_footprints(base.transformer, base.vae, torch.bfloat16, [SMALL])[None]
    with Meter(given) as meter:
        stack.apply([(adapter, 0.5), (adapter, 0.25)], "merged")
    assert footprint.rewriting / 2 < meter.peak <= footprint.rewriting


@pytest.mark.parametrize("qtype", ["qfloat8", "qint8", "qint4", "float8"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_quantising_and_its_result_are_within_the_estimate(qtype: str, dtype: torch.dtype) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(512, 1024, bias=False)).to(dtype)
    estimated, read = tensor_bytes(model, dtype, qtype), model[0].weight
    with Meter([read]) as meter:
        quantizer(model, qtype)(model[0])
    assert _stored_bytes(model[0].weight) == estimated
    rewriting = QUANTIZING_BYTES * read.numel()
    assert rewriting / 2 <= read.nbytes + meter.peak <= rewriting


# ---- the choice ----

KLEIN = Footprint(
    weights=8 * GB, blocks=GB, outside=GB // 2, vae=GB // 5, rewriting=2 * GB, computing=GB // 2, coding=3 * GB
)
QUANTISED = replace(KLEIN, weights=4 * GB, blocks=GB // 2, rewriting=GB)
NEEDS = {None: KLEIN, "qfloat8": QUANTISED}


def test_the_peak_of_each_mode() -> None:
    assert KLEIN.peak(RESIDENT) == 11.2 * GB  # weights, VAE, decoding
    assert KLEIN.peak(MODEL) == 8.5 * GB  # weights, denoising
    assert KLEIN.peak(BLOCK) == 3.2 * GB  # VAE, decoding
    assert [KLEIN.at_rest(mode) for mode in (RESIDENT, MODEL, BLOCK)] == [8_200_000_000, 0, 0]


@pytest.mark.parametrize(
    ("free", "mode"), [(24, RESIDENT), (12.4, RESIDENT), (12.2, MODEL), (9.5, MODEL), (9.3, BLOCK), (4, BLOCK)]
)
def test_the_first_mode_that_fits_with_the_margin(free: float, mode: str) -> None:
    assert plan(NEEDS, None, _gpu(free)).mode == mode


def test_the_reason_says_what_did_not_fit_and_the_numbers() -> None:
    assert plan(NEEDS, None, _gpu(9.5)).reason == (
        "model: resident needs 12.3 GB on the device; estimate 8.5 GB, 9.5 GB of 24.0 GB free"
    )
    assert plan(NEEDS, None, _gpu(20)).reason == (
        "resident: the fastest that fits; estimate 11.2 GB, 20.0 GB of 24.0 GB free"
    )


def test_a_mode_that_rests_in_cpu_memory_needs_that_too() -> None:
    with pytest.raises(DeviceMemoryError, match=r"model needs 8\.2 GB beside it, where 5\.0 GB are free"):
        plan(NEEDS, None, replace(_gpu(9.5), host_free=5 * GB))


def test_a_wish_is_taken_and_says_so_when_it_may_not_fit() -> None:
    assert plan(NEEDS, None, _gpu(24), "block").mode == BLOCK
    forced = plan(NEEDS, None, _gpu(9), "none")
    assert (forced.mode, forced.estimate) == (RESIDENT, KLEIN.peak(RESIDENT))
    assert forced.reason.startswith("resident: as asked for; though resident needs 12.3 GB on the device: may run out;")


def test_an_unknown_wish_is_refused() -> None:
    with pytest.raises(ConfigError, match="offload: expected one of auto, none, model, block, got sequential"):
        plan(NEEDS, None, _gpu(24), "sequential")


def test_nothing_is_quantised_unasked_but_the_error_says_what_would_fit() -> None:
    needs = {None: replace(KLEIN, coding=0, rewriting=6 * GB), "qfloat8": replace(QUANTISED, coding=0)}
    with pytest.raises(DeviceMemoryError) as error:
        plan(needs, None, _gpu(5))
    assert str(error.value) == (
        "not enough memory: 5.0 GB of 24.0 GB free; resident needs 15.4 GB on the device; model needs 9.5 GB on the "
        "device; block needs 6.8 GB on the device (weights 8.0 GB, quantised: no). Free memory on the device; "
        "quantising the transformer would fit and change the picture: qfloat8 (block, 2.1 GB); else use a smaller "
        "picture or another device"
    )


def test_a_cpu_is_never_refused() -> None:
    chosen = plan(NEEDS, None, Budget("cpu", 4 * GB, 16 * GB, 4 * GB))
    assert chosen.mode == RESIDENT
    assert "on a CPU; though resident needs 12.3 GB on the device: may run out" in chosen.reason


@pytest.mark.parametrize(
    ("budget", "mode", "copy"),
    [
        (Budget("cuda", 24 * GB, 24 * GB, 0), RESIDENT, ON_DEVICE),
        (Budget("cuda", 19 * GB, 24 * GB, 64 * GB), RESIDENT, PINNED),
        (Budget("cuda", 19 * GB, 24 * GB, 7 * GB), RESIDENT, IN_FILE),
        (Budget("cuda", 12 * GB, 24 * GB, 64 * GB), MODEL, PINNED),
        (Budget("cuda", 12 * GB, 24 * GB, 15 * GB), MODEL, IN_FILE),  # beside which the weights themselves rest
        (Budget("cpu", 24 * GB, 24 * GB, 24 * GB), RESIDENT, ON_DEVICE),
        (Budget("cpu", 19 * GB, 24 * GB, 19 * GB), RESIDENT, IN_FILE),
    ],
)
def test_weights_under_adapters_are_copied_where_the_mode_leaves_room(budget: Budget, mode: str, copy: str) -> None:
    needs = {None: replace(KLEIN, touched=7 * GB)}
    chosen = plan(needs, None, budget, merges=True)
    assert (chosen.mode, chosen.copy) == (mode, copy)
    assert chosen.estimate == plan(needs, None, budget).estimate
    assert plan(needs, None, budget).copy is None


def test_the_reason_says_where_weights_are_copied() -> None:
    needs = {None: replace(KLEIN, touched=7 * GB)}
    said = [plan(needs, None, budget, merges=True).reason for budget in (_gpu(24), _gpu(19), _cpu(19))]
    assert said == [
        "resident: the fastest that fits; estimate 11.2 GB and 7.0 GB more for the weights that adapters are merged "
        "into, 24.0 GB of 24.0 GB free",
        "resident: the fastest that fits; estimate 11.2 GB and 7.0 GB of pinned memory beside it for the weights that "
        "adapters are merged into, 19.0 GB of 24.0 GB free",
        "resident: on a CPU; estimate 11.2 GB and no room for 7.0 GB of weights that adapters are merged into, which "
        "are read again from the file, 19.0 GB of 24.0 GB free",
    ]


def test_what_adapters_can_touch_is_every_linear_layer_that_is_not_quantised(base: Base) -> None:
    found = model_footprints(base.transformer, base.vae, torch.bfloat16, [SMALL])
    linears = [layer for layer in base.transformer.modules() if isinstance(layer, torch.nn.Linear)]
    assert found[None].touched == sum(2 * layer.weight.numel() for layer in linears)
    assert [found[name].touched for name in ("qfloat8", "qint8", "qint4")] == [0, 0, 0]


def test_a_text_encoder_has_no_second_rung() -> None:
    text = {None: Footprint(8 * GB, GB, GB // 2, vae=0, rewriting=0, computing=GB // 10, coding=0)}
    assert plan(text, None, _gpu(24), "model", TEXT_LADDER).mode == RESIDENT
    assert plan(text, None, _gpu(4), ladder=TEXT_LADDER).mode == BLOCK


def test_down_the_ladder() -> None:
    assert [lower(mode) for mode in (RESIDENT, MODEL, BLOCK)] == [MODEL, BLOCK, BLOCK]
    assert with_margin(20 * GB) == 21 * GB + 512 * 2**20


# ---- the table ----


def test_the_docs_hold_the_table_that_the_planner_computes() -> None:
    assert memory_table() in DOCS.read_text(encoding="utf-8")


def test_every_model_is_in_the_table() -> None:
    rows = [line.split("|") for line in memory_table(64, 64).splitlines()[2:]]
    ids = {name for row in rows for name in row[1].strip().split(", ")}
    assert ids == {path.stem for path in CONF.glob("*.yaml")} - {"demo"}


# ---- what the tests above need ----


def _gpu(free: float) -> Budget:
    return Budget("cuda", int(free * GB), 24 * GB, 64 * GB)


def _cpu(free: float) -> Budget:
    return Budget("cpu", int(free * GB), 24 * GB, int(free * GB))


def _cast(module: torch.nn.Module, dtype: torch.dtype) -> Any:
    return torch.nn.Module.to(module, dtype)  # diffusers' own `to` warns about layers that it would keep


def _meta_transformer(model: str, dtype: torch.dtype) -> Any:
    transformer = _cast(flux2_sizes.transformer(flux2_sizes.MODELS[model]), dtype)
    make_transformer_exact(transformer)
    return transformer


def _forward_peak(transformer: Any, picture: Workload, given: Sequence[torch.Tensor] = ()) -> int:
    tokens = picture.width * picture.height // 256 + picture.references * 4096
    weight = transformer.x_embedder.weight
    inputs = {
        "hidden_states": weight.new_empty(picture.passes, tokens, 128),
        "encoder_hidden_states": weight.new_empty(
            picture.passes, picture.text_tokens, transformer.config.joint_attention_dim
        ),
        "timestep": weight.new_empty(1),
        "img_ids": weight.new_empty(tokens, 4),
        "txt_ids": weight.new_empty(picture.text_tokens, 4),
    }
    guidance = weight.new_empty(1) if transformer.config.guidance_embeds else None
    with Meter([*inputs.values(), *transformer.parameters(), *given]) as meter, FusedAttention():
        transformer(**inputs, guidance=guidance, return_dict=False)
    return meter.peak


def _stored_bytes(tensor: torch.Tensor) -> int:
    if is_traceable_wrapper_subclass(tensor):
        return sum(_stored_bytes(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0])
    return tensor.numel() * tensor.element_size()
