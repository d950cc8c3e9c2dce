"""The memory rule of FLUX.1, Flex.1 and Flex.2 against what is measured, at full size on the meta device."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.render.device.memory_meter import META, FusedAttention, Meter, hang_lora
from tests.render.goldens import FLUX1, flux1_checkpoint

from darkroom.lora_files.families import NAMINGS
from darkroom.render.adapters.file import read_adapter
from darkroom.render.adapters.merged import MergedStack
from darkroom.render.device.mode import MODEL, Workload
from darkroom.render.families.autoencoder_kl import coding_bytes, on_meta
from darkroom.render.families.flux1 import flex2
from darkroom.render.families.flux1 import real_sizes as flux1_sizes
from darkroom.render.families.flux1.footprint import denoising_bytes, model_footprints
from darkroom.render.family import family

MEGAPIXEL = Workload(1024, 1024, references=0, text_tokens=512, live_adapters=())
SMALL = replace(MEGAPIXEL, width=64, height=64)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(
    "model", ["flux", *(pytest.param(each, marks=pytest.mark.slow) for each in ("flex1", "flex2"))]
)
@torch.no_grad()
def test_denoising_takes_less_than_estimated_but_not_half_of_it(model: str, dtype: torch.dtype) -> None:
    transformer = _transformer(model, dtype)
    for picture in (SMALL, MEGAPIXEL):
        estimated = denoising_bytes(transformer, dtype, picture)
        assert estimated / 2 < _forward_peak(transformer, picture) <= estimated


@torch.no_grad()
def test_live_adapters_compute_in_float32_and_take_more(tmp_path: Path) -> None:
    transformer = _transformer("flex1", torch.bfloat16)
    branches = hang_lora(transformer)
    adapters = 4 * sum(branch.numel() for branch in branches)
    file = tmp_path / "lora.safetensors"
    file.write_bytes(bytes(adapters // 2))
    picture = replace(MEGAPIXEL, live_adapters=(str(file),))
    estimated = denoising_bytes(transformer, torch.bfloat16, picture)
    assert estimated / 2 < _forward_peak(transformer, picture, branches) + adapters <= estimated


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@torch.no_grad()
def test_coding_takes_less_than_estimated_but_not_half_of_it(dtype: torch.dtype) -> None:
    vae = _cast(on_meta(), dtype)
    estimated = coding_bytes(vae, dtype, MEGAPIXEL)
    latents, pixels = torch.empty(1, 16, 128, 128, dtype=dtype, device=META), torch.empty(1, 3, 1024, 1024, device=META)
    with Meter([latents, *vae.parameters()]) as meter, FusedAttention():
        vae.decode(latents, return_dict=False)
    assert estimated / 2 < meter.peak <= estimated
    with Meter(vae.parameters()) as meter, FusedAttention():
        vae.encode(pixels.to(dtype))
    assert meter.peak <= estimated


@pytest.mark.parametrize("model", ["flux", "flex2"])
@pytest.mark.parametrize("adapter", ["lora_bf16", "lokr_new_bf16"])
def test_merging_is_within_the_estimate(model: str, adapter: str, make_request: Any) -> None:
    """Of two adapters, and of weights as a whole, as on a GPU."""
    request = make_request(family=model, dtype="bfloat16", guidance="embedded")
    base = family(model).load(flux1_checkpoint(model), request.base, torch.device("cpu"))
    file = FLUX1 / "adapters" / f"{model}_{adapter}.safetensors"
    deltas = read_adapter(file, base.adapter_shapes(), NAMINGS[model])
    given = [
        *base.transformer.parameters(),
        *(t for own in deltas.deltas.values() for delta in own for t in delta.tensors.values()),
    ]
    footprint = model_footprints(base.transformer, base.vae, torch.bfloat16, [SMALL])[None]
    with Meter(given) as meter:
        MergedStack(base, rows=10**6).apply([(deltas, 0.5), (deltas, 0.25)], "merged")
    assert footprint.rewriting / 2 < meter.peak <= footprint.rewriting


def test_flux1_dev_in_full_and_flex2() -> None:
    found = {name: base for name, _, base in flux1_sizes.footprints(MEGAPIXEL, torch.bfloat16)}
    flux, flex = found["flux"], found["flex2"]
    assert round(flux[None].weights / 1e9, 1) == 23.8  # 11.9 billion numbers
    assert round(flux[None].peak(MODEL) / 1e9, 1) == 24.3
    assert round(flux["qfloat8"].weights / 1e9, 1) == 11.9
    assert round(flex[None].weights / 1e9, 1) == 16.3


def test_footprints_of_a_checkpoint(make_request: Any) -> None:
    request = make_request(family="flex2", dtype="bfloat16", guidance="embedded")
    found = flex2.footprints(flux1_checkpoint("flex2"), request.base, [SMALL, MEGAPIXEL])
    assert found == flex2.footprints(flux1_checkpoint("flex2"), request.base, [MEGAPIXEL])
    assert set(found) == {None, "qfloat8", "qint8", "qint4", "float8"}


def _transformer(model: str, dtype: torch.dtype) -> Any:
    return _cast(flux1_sizes.transformer(flux1_sizes.MODELS[model]), dtype)


def _cast(module: Any, dtype: torch.dtype) -> Any:
    return torch.nn.Module.to(module, dtype)  # diffusers' own `to` warns about layers that it would keep


def _forward_peak(transformer: Any, picture: Workload, given: Sequence[torch.Tensor] = ()) -> int:
    tokens = picture.width * picture.height // 256
    weight = transformer.x_embedder.weight
    inputs = {
        "hidden_states": weight.new_empty(1, tokens, transformer.config.in_channels),
        "encoder_hidden_states": weight.new_empty(1, picture.text_tokens, transformer.config.joint_attention_dim),
        "pooled_projections": weight.new_empty(1, transformer.config.pooled_projection_dim),
        "timestep": weight.new_empty(1),
        "guidance": weight.new_empty(1),
        "img_ids": weight.new_empty(tokens, 3),
        "txt_ids": weight.new_empty(picture.text_tokens, 3),
    }
    with Meter([*inputs.values(), *transformer.parameters(), *given]) as meter, FusedAttention():
        transformer(**inputs, return_dict=False)
    return meter.peak
