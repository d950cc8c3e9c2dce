"""What the parts of gpu.py share: a figure, the setting, one picture made and how far it is from another."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from darkroom.checkpoint import Checkpoint
from darkroom.render.device.mode import Workload
from darkroom.render.picture import Made, make_picture
from darkroom.render.pipelines import Pipelines
from darkroom.request.parts import Asked, BaseModel, Encoder, Sampling, Source, Text, Title
from darkroom.request.request import Request
from darkroom.store import Store


@dataclass(frozen=True)
class Row:
    """One figure. `is_good`: what has to hold does; None where nothing has to."""

    part: str
    what: str
    value: float | str
    unit: str = ""
    is_good: bool | None = None


@dataclass(frozen=True)
class Setting:
    """What all parts share. `repeats`: of each timing, of which the median counts."""

    folder: Path
    device: torch.device
    is_tiny: bool
    repeats: int

    @property
    def store(self) -> Store:
        return Store(self.folder / "store")

    @property
    def sides(self) -> tuple[int, int]:
        """Of pictures, in pixels: a large one and a small one."""
        return (128, 64) if self.is_tiny else (1024, 512)


def pipelines_on(device: torch.device) -> Pipelines:
    """That hold no model yet."""
    pipelines = Pipelines()
    pipelines.device = device
    return pipelines


def request_of(name: str, text_features: int, side: int, steps: int, guidance_scale: float) -> Request:
    return Request(
        title=Title(experiment="gpu", model=name, lora="none", prompts="gpu", index=0, image_name="0"),
        base=BaseModel(family="flux2", dtype="bfloat16", guidance="cfg", numerics="exact"),
        encoder=Encoder(family="flux2", dtype="bfloat16", max_sequence_length=512),
        sampling=Sampling(
            width=side, height=side, seed=42, sample_steps=steps, guidance_scale=guidance_scale, schedule="aitk"
        ),
        text=Text(prompt=f"noise of {text_features} features a token"),
        source=Source(checkpoint=name, text_encoder="random"),
        asked=Asked(prompt_template="", width_requested=side, height_requested=side),
    )


def made_by(
    setting: Setting, pipelines: Pipelines, checkpoint: Checkpoint, request: Request, offload: str = "auto"
) -> Made:
    return pipelines.with_base(
        checkpoint,
        request,
        lambda loaded: make_picture(setting.store, request, loaded, lambda: None),
        frozenset({Workload.of(request)}),
        offload,
    )


def psnr(left: Any, right: Any) -> float:
    """dB between two pictures of 8 bits; infinite for equal ones."""
    error = float(np.mean((np.asarray(left).astype(float) - np.asarray(right).astype(float)) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def equal(left: Made, right: Made) -> bool:
    return torch.equal(left.latents, right.latents) and bool(np.array_equal(left.pixels, right.pixels))


def same(left: Made, right: Made) -> str:
    return "yes" if equal(left, right) else f"no: {psnr(left.pixels, right.pixels):.1f} dB"


def word(is_so: bool) -> str:
    return "yes" if is_so else "no"
