"""Renders prompts with Darkroom's own FLUX.2 code, exact numerics, bfloat16. Judges nothing."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from darkroom.checkpoint import DIFFUSERS, TOKENIZER, Checkpoint, Component
from darkroom.lora_files.flux2 import FLUX2_NAMING
from darkroom.render.adapters.file import read_adapter
from darkroom.render.adapters.stack import AdapterStack
from darkroom.render.families.flux2 import flux2
from darkroom.request import Request
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
        self._request = _request()
        self._base = flux2.load(checkpoint, self._request, _CPU)
        self._text = flux2.load_text_encoder(checkpoint, self._request, _CPU)
        self._stack = AdapterStack(self._base)
        self._embeds: dict[str, dict[str, torch.Tensor]] = {}

    def use(self, adapter: Path | None, multiplier: float = 1.0) -> None:
        """Merge an adapter's file into the weights, as it was trained at multiplier 1; None for the base."""
        layers, naming = self._base.adapter_shapes(), FLUX2_NAMING
        stack = [] if adapter is None else [(read_adapter(adapter, layers, naming), multiplier)]
        self._stack.apply(stack, "merged")

    def render(self, shot: Shot) -> NDArray[np.uint8]:
        """(SIDE, SIDE, 3) levels."""
        request = replace(
            self._request,
            prompt=shot.prompt,
            neg=shot.neg,
            seed=shot.seed,
            guidance_scale=shot.guidance_scale,
            sample_steps=shot.steps,
        )
        seen = [flux2.encode_reference(self._base, request, picture(shot.reference))] if shot.reference else []
        neg = self._embed(shot.neg) if request.uses_neg else None
        latents, _ = flux2.denoise(
            self._base,
            request,
            self._embed(shot.prompt),
            neg,
            seen,
            on_step=lambda step: None,
        )
        return flux2.decode(self._base, latents)

    def _embed(self, text: str) -> dict[str, torch.Tensor]:
        if text not in self._embeds:
            self._embeds[text] = flux2.encode(self._text, text)
        return self._embeds[text]


def _request() -> Request:
    names = dict.fromkeys(
        ("experiment", "model", "lora", "prompts", "image_name", "prompt_template"),
        "demo",
    )
    return Request(
        **names,
        index=0,
        axes=(),
        prompt="",
        neg="",
        trigger_word=None,
        width_requested=SIDE,
        height_requested=SIDE,
        width=SIDE,
        height=SIDE,
        seed=0,
        sample_steps=25,
        guidance_scale=4.0,
        family="flux2",
        checkpoint="demo",
        text_encoder="demo",
        dtype="bfloat16",
        quantize_transformer=None,
        quantize_text_encoder=None,
        text_encoder_cast=False,
        guidance="cfg",
        schedule="aitk",
        numerics="exact",
        max_sequence_length=MAX_TOKENS,
        attn_masking=False,
        lora_merge=None,
    )
