"""Renders prompts with Darkroom's own FLUX.2 code, exact numerics, bfloat16. Judges nothing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from darkroom.checkpoint import DIFFUSERS, TOKENIZER, Checkpoint, Component
from darkroom.lora_files.flux2 import FLUX2_NAMING
from darkroom.render.adapters.file import read_adapter
from darkroom.render.adapters.stack import AdapterStack
from darkroom.render.families.flux2 import flux2
from darkroom.request.parts import BaseModel, Encoder, Sampling
from demo_training.drawing import picture
from demo_training.scenes import SIDE, Scene
from demo_training.text import MAX_TOKENS

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Shot:
    """One picture to render; `reference`: what the picture shows that is to be changed."""

    prompt: str
    seed: int
    guidance_scale: float = 4.0
    neg: str = ""
    steps: int = 25
    reference: Scene | None = None


class Studio:
    """The demo's checkpoint in memory, with one adapter at a time."""

    def __init__(self, folder: Path) -> None:
        parts = {name: Component(str(folder / name), DIFFUSERS, "") for name in ("transformer", "vae", "text_encoder")}
        parts["tokenizer"] = Component(str(folder / "tokenizer"), TOKENIZER, "")
        checkpoint = Checkpoint("demo", None, parts)
        model = BaseModel(family="flux2", dtype="bfloat16", guidance="cfg", numerics="exact")
        encoder = Encoder(family="flux2", dtype="bfloat16", max_sequence_length=MAX_TOKENS)
        self._base = flux2.load(checkpoint, model, _CPU)
        self._text = flux2.load_text_encoder(checkpoint, encoder, _CPU)
        self._stack = AdapterStack(self._base)
        self._embeds: dict[str, dict[str, torch.Tensor]] = {}

    def use(self, adapter: Path | None, multiplier: float = 1.0) -> None:
        """Merge an adapter's file into the weights, as it was trained at multiplier 1; None for the base."""
        layers, naming = self._base.adapter_shapes(), FLUX2_NAMING
        stack = [] if adapter is None else [(read_adapter(adapter, layers, naming), multiplier)]
        self._stack.apply(stack, "merged")

    def render(self, shot: Shot) -> NDArray[np.uint8]:
        """(SIDE, SIDE, 3) levels."""
        sampling = Sampling(
            width=SIDE,
            height=SIDE,
            seed=shot.seed,
            sample_steps=shot.steps,
            guidance_scale=shot.guidance_scale,
            schedule="aitk",
        )
        seen = [flux2.encode_reference(self._base, sampling, picture(shot.reference))] if shot.reference else []
        neg = self._embed(shot.neg) if shot.guidance_scale > 1 else None
        latents, _ = flux2.denoise(
            self._base,
            sampling,
            self._embed(shot.prompt),
            neg,
            seen,
            on_step=lambda step: None,
        )
        return flux2.decode(self._base, latents).numpy()

    def _embed(self, text: str) -> dict[str, torch.Tensor]:
        if text not in self._embeds:
            self._embeds[text] = flux2.encode(self._text, text)
        return self._embeds[text]
