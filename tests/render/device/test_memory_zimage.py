"""The memory rule of Z-Image against what is measured, at full size on the meta device."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.render.device.memory_meter import META, FusedAttention, Meter, hang_lora
from tests.render.goldens import ZIMAGE, zimage_checkpoint

from darkroom.render.device.mode import MODEL, Workload
from darkroom.render.families.zimage import real_sizes, zimage
from darkroom.render.families.zimage.footprint import denoising_bytes, text_model_footprints

MEGAPIXEL = Workload(1024, 1024, references=0, text_tokens=512, live_adapters=())
SMALL = replace(MEGAPIXEL, width=64, height=64)


def _cast(module: Any, dtype: torch.dtype) -> Any:
    return torch.nn.Module.to(module, dtype)  # diffusers' own `to` warns about layers that it would keep


def _forward_peak(transformer: Any, picture: Workload, given: Sequence[torch.Tensor] = ()) -> int:
    weight = transformer.cap_pad_token
    latents = weight.new_empty(16, 1, picture.height // 8, picture.width // 8)
    texts = [weight.new_empty(picture.text_tokens, 2560) for _ in range(picture.passes)]
    times = torch.empty(picture.passes, device=META)
    with Meter([latents, *texts, *transformer.parameters(), *given]) as meter, FusedAttention():
        transformer([latents] * picture.passes, times, texts, return_dict=False)
    return meter.peak


@torch.no_grad()
def test_denoising_takes_less_than_estimated_but_not_half_of_it() -> None:
    transformer = _cast(real_sizes.transformer(), torch.bfloat16)
    for picture in (MEGAPIXEL, replace(MEGAPIXEL, passes=2)):
        estimated = denoising_bytes(transformer, torch.bfloat16, picture)
        assert estimated / 2 < _forward_peak(transformer, picture) <= estimated


@torch.no_grad()
def test_live_adapters_compute_in_float32_and_take_more(tmp_path: Path) -> None:
    transformer = _cast(real_sizes.transformer(), torch.bfloat16)
    branches = hang_lora(transformer)
    adapters = 4 * sum(branch.numel() for branch in branches)
    file = tmp_path / "lora.safetensors"
    file.write_bytes(bytes(adapters // 2))
    picture = replace(MEGAPIXEL, live_adapters=(str(file),))
    estimated = denoising_bytes(transformer, torch.bfloat16, picture)
    assert estimated / 2 < _forward_peak(transformer, picture, branches) + adapters <= estimated


@torch.no_grad()
def test_encoding_takes_less_than_estimated_but_not_half_of_it() -> None:
    encoder = _cast(real_sizes.text_encoder(), torch.bfloat16)
    tokens = torch.empty(1, 512, dtype=torch.long, device=META)
    mask: Any = {"full_attention": torch.empty(1, 1, 512, 512, dtype=torch.bfloat16, device=META)}
    with Meter([tokens, *encoder.parameters(), *encoder.buffers()]) as meter, FusedAttention():
        encoder(input_ids=tokens, attention_mask=mask, position_ids=tokens, use_cache=False)
    estimated = text_model_footprints(encoder, 512, torch.bfloat16)[None].computing
    assert estimated / 2 < meter.peak <= estimated


def test_z_image_in_full() -> None:
    found = {ids: (text, base) for ids, text, base in real_sizes.footprints(MEGAPIXEL, torch.bfloat16)}
    text, base = found["zimage, zimage_deturbo"]
    assert round(base[None].weights / 1e9, 1) == 12.3  # 6.15 billion numbers
    assert round(base[None].peak(MODEL) / 1e9, 1) == 13.6
    assert round(base["float8"].weights / 1e9, 1) == round(base["qfloat8"].weights / 1e9, 1) == 6.2
    assert round(base[None].vae / 1e9, 2) == 0.17
    assert round(text[None].weights / 1e9, 1) == 7.8  # 35 of 36 layers of 4.0 billion numbers
    assert found["zimage_turbo"][1][None].computing * 2 == base[None].computing


@pytest.mark.parametrize("adapter", [None, "turbo_assistant_bf16"])
def test_footprints_of_a_checkpoint(make_request: Any, adapter: str | None) -> None:
    checkpoint = zimage_checkpoint("turbo", adapter)
    request = make_request(family="zimage", dtype="bfloat16")
    found = zimage.footprints(checkpoint, request.base, [SMALL, MEGAPIXEL])
    alone = zimage.footprints(zimage_checkpoint("turbo"), request.base, [MEGAPIXEL])
    beside = (ZIMAGE / "adapters" / f"{adapter}.safetensors").stat().st_size if adapter else 0
    assert found[None].computing == alone[None].computing + beside
    assert set(found) == {None, "qfloat8", "qint8", "qint4", "float8"}
