"""Z-Image, Turbo and the trainer's earlier versions against goldens of its previews: latents and pixels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.render.goldens import (
    ZIMAGE,
    Goldens,
    Warm,
    warm,
    write_single_file,
    zimage_checkpoint,
)

from darkroom.checkpoint import SINGLE_FILE, Checkpoint, Component
from darkroom.render.family import family
from darkroom.request.request import Request

# Between the trainer's own bf16 and fp32 lie up to 2.8e-2, between AVX2's bf16 and its own as much.
GOLDENS = Goldens.read(ZIMAGE / "golden", {"float32": 1e-5, "bfloat16": 4e-2})
MakeRequest = Callable[..., Request]
_NAMED = (
    *("prompt", "neg", "width", "height", "sample_steps", "guidance_scale", "seed"),
    *("guidance_rule", "schedule", "quantize_embedders"),
)


@pytest.fixture
def make(make_request: MakeRequest) -> MakeRequest:
    """A request of the tiny Z-Image, 64x64, 4 steps, float32, with changes."""

    def made(**changes: Any) -> Request:
        return make_request(**{"family": "zimage", "text_encoder_cast": True, **changes})

    return made


@pytest.fixture(scope="module")
def pipelines() -> dict[tuple[Any, ...], Warm]:
    return {}


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_single_file(tmp_path_factory.mktemp("single") / "z_image_bf16.safetensors")


def _checkpoint(case: dict[str, Any], single: Path) -> Checkpoint:
    if case["model"] == "single":
        return zimage_checkpoint("zimage", transformer=Component(str(single), SINGLE_FILE, ""))
    return zimage_checkpoint(case["model"], training_adapter=case["training_adapter"])


@pytest.mark.parametrize(("case", "dtype"), GOLDENS.parameters)
def test_golden(
    case: dict[str, Any],
    dtype: str,
    make: MakeRequest,
    pipelines: dict[tuple[Any, ...], Warm],
    single: Path,
    our_canary: str,
) -> None:
    text_quantize = "qfloat8" if case["quantize"] else None
    quantize = {"quantize_transformer": case["quantize"], "quantize_text_encoder": text_quantize}
    request = make(**{name: case[name] for name in _NAMED}, dtype=dtype, **quantize)
    key = (case["model"], case["training_adapter"], request.base)
    if key not in pipelines:
        pipelines[key] = warm(family("zimage"), _checkpoint(case, single), request)
    path = ZIMAGE / "adapters" / f"{case['adapter']}.safetensors"
    pipelines[key].adapt(path if case["adapter"] else None, case["network_multiplier"], case["lora_merge"])

    latents, pixels = pipelines[key].render(request)

    assert latents.dtype == torch.float32
    GOLDENS.check(case, dtype, latents, pixels, our_canary)
