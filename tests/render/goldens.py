"""Goldens of the trainer's own previews, and rendering their cases through a family on one warm pipeline."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.places import DATA

from darkroom.checkpoint import DIFFUSERS, SINGLE_FILE, TOKENIZER, TRAINING_ADAPTER, Checkpoint, Component
from darkroom.files.images.reference import read_reference
from darkroom.lora_files.families import NAMINGS
from darkroom.render.adapters.file import read_adapter
from darkroom.render.adapters.stack import AdapterStack
from darkroom.render.device.environment import fixed_kernels
from darkroom.render.family import Family
from darkroom.render.weights.base import Base, TextEncoder
from darkroom.request.parts import Encoder
from darkroom.request.request import Request

DTYPES = ("float32", "bfloat16")
# On another kind of processor: mean |difference| / mean |golden| of latents, mean |difference| of a pixel (0 to 255).
TOLERANCE: Mapping[str, float] = {"float32": 1e-5, "bfloat16": 2e-2}
LEVELS = {"float32": 0.01, "bfloat16": 2.0}
CPU = torch.device("cpu")
FLUX1 = DATA / "parity" / "flux1"
ZIMAGE = DATA / "parity" / "zimage"


@dataclass(frozen=True)
class Goldens:
    """One set: its cases, and by canary, dtype and case the hashes of [latents, pixels]."""

    folder: Path
    cases: list[dict[str, Any]]
    trainer_canary: str
    hashes: dict[str, dict[str, dict[str, list[str]]]]
    tolerance: Mapping[str, float]  # of its latents, by dtype

    @classmethod
    def read(cls, folder: Path, tolerance: Mapping[str, float] = TOLERANCE) -> "Goldens":
        spec, hashes = (json.loads((folder / name).read_text()) for name in ("cases.json", "hashes.json"))
        return cls(folder, spec["cases"], spec["trainer_canary"], hashes, tolerance)

    @property
    def runs(self) -> list[tuple[dict[str, Any], str]]:
        """Every case in every dtype in which the trainer was run."""
        theirs = self.hashes[self.trainer_canary]
        return [(case, dtype) for dtype in DTYPES for case in self.cases if case["id"] in theirs[dtype]]

    @property
    def parameters(self) -> list[Any]:
        """`runs` as a test takes them.

        `make check` leaves some to `make test`: float32, which goes the way of bfloat16, more than four steps, large
        pictures, a large reference image.
        """
        return [
            pytest.param(case, dtype, id=f"{case['id']}-{dtype}", marks=[pytest.mark.slow] if is_slow else [])
            for case, dtype in self.runs
            for is_slow in [
                dtype == "float32"
                or case["sample_steps"] > 4
                or max(case["width"], case["height"]) > 128
                or case["id"].startswith("ref1_big")
            ]
        ]

    def check(
        self, case: dict[str, Any], dtype: str, latents: torch.Tensor, pixels: np.ndarray[Any, Any], our_canary: str
    ) -> None:
        """A case's latents and pixels are the trainer's: near on any processor, exactly on those of a known canary."""
        theirs, name = self.theirs(dtype), case["id"]
        assert relative(latents, theirs[f"{name}.latents"]) <= self.tolerance[dtype]
        if f"{name}.pixels" in theirs:
            golden = theirs[f"{name}.pixels"].numpy().astype(float)
            assert np.abs(golden - pixels).mean() <= LEVELS[dtype]
        if our_canary in self.hashes:
            assert hashes_of(latents, pixels) == self.hashes[our_canary][dtype][name]

    def theirs(self, dtype: str) -> dict[str, torch.Tensor]:
        """The trainer's `<case>.latents` and, for small pictures, `<case>.pixels`."""
        return _loaded(self.folder / f"{dtype}.safetensors")


@cache
def _loaded(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path)


@dataclass
class Warm:
    """One pipeline: the cases also switch adapters and regimes on it, one after the other."""

    family: str
    kind: Family
    checkpoint: Checkpoint
    base: Base
    stack: AdapterStack
    encoders: dict[Encoder, TextEncoder] = field(default_factory=dict)

    def encode(self, encoder: Encoder, text: str) -> dict[str, torch.Tensor]:
        if encoder not in self.encoders:
            self.encoders[encoder] = self.kind.load_text_encoder(self.checkpoint, encoder, CPU)
        with fixed_kernels(CPU, self.base.dtype, "text_encoder"):
            return self.kind.encode(self.encoders[encoder], text)

    def adapt(self, path: Path | None, multiplier: float, regime: str) -> None:
        layers, naming = self.base.adapter_shapes(), NAMINGS[self.family]
        self.stack.apply([(read_adapter(path, layers, naming), multiplier)] if path else [], regime)

    def render(self, request: Request) -> tuple[torch.Tensor, np.ndarray[Any, Any]]:
        text, own = request.text, request.text.prompt_embeds
        embeds = load_file(own) if own else self.encode(request.encoder, text.prompt)
        neg = self.encode(request.encoder, text.neg) if request.uses_neg else None
        images = [read_reference(image.path) for image in request.sampling.ctrl_images]
        with fixed_kernels(CPU, self.base.dtype, "transformer"):
            seen = [self.kind.encode_reference(self.base, request.sampling, image) for image in images]
            latents, sigmas = self.kind.denoise(self.base, request.sampling, embeds, neg, seen, lambda step: None)
            assert len(sigmas) == request.sampling.sample_steps + 1
            return latents, self.kind.decode(self.base, latents).numpy()


def warm(kind: Family, checkpoint: Checkpoint, request: Request) -> Warm:
    base = kind.load(checkpoint, request.base, CPU)
    return Warm(request.base.family, kind, checkpoint, base, AdapterStack(base))


def relative(ours: torch.Tensor, golden: torch.Tensor) -> float:
    """Mean |difference| / mean |golden|."""
    return ((ours.float() - golden.float()).abs().mean() / golden.float().abs().mean()).item()


def hashes_of(latents: torch.Tensor, pixels: np.ndarray[Any, Any]) -> list[str]:
    return [
        hashlib.sha256(np.ascontiguousarray(v).tobytes()).hexdigest()[:16] for v in (latents.float().numpy(), pixels)
    ]


def flux1_checkpoint(model: str) -> Checkpoint:
    """The tiny `flux` or `flex2`, which differ in their transformers alone."""
    folders = {part: FLUX1 / "flux" / part for part in ("vae", "text_encoder", "text_encoder_2")}
    folders["transformer"] = FLUX1 / model / "transformer"
    components = {part: Component(str(folder), DIFFUSERS, "") for part, folder in folders.items()}
    for part in ("tokenizer", "tokenizer_2"):
        components[part] = Component(str(FLUX1 / "flux" / part), TOKENIZER, "")
    return Checkpoint(f"tiny_{model}", None, components)


def zimage_checkpoint(model: str, training_adapter: str | None = None, **components: Component) -> Checkpoint:
    """The tiny `zimage` or `turbo`, which differ in their transformers alone; with other components, if any."""
    folders = {part: ZIMAGE / "zimage" / part for part in ("vae", "text_encoder")}
    folders["transformer"] = ZIMAGE / model / "transformer"
    own = {part: Component(str(folder), DIFFUSERS, "") for part, folder in folders.items()}
    own["tokenizer"] = Component(str(ZIMAGE / "zimage" / "tokenizer"), TOKENIZER, "")
    if training_adapter:
        own[TRAINING_ADAPTER] = Component(str(ZIMAGE / "adapters" / f"{training_adapter}.safetensors"), SINGLE_FILE, "")
    return Checkpoint(f"tiny_{model}", None, {**own, **components})


def write_single_file(path: Path, prefix: str = "") -> Path:
    """The tiny Z-Image's transformer as ComfyUI has it: q, k and v in one tensor, and other names."""
    stored = load_file(ZIMAGE / "zimage" / "transformer" / "diffusion_pytorch_model.safetensors")
    fused = {}
    for key, tensor in stored.items():
        name = key.replace(".attention.to_out.0.", ".attention.out.").replace(".2-1.", ".").removeprefix("all_")
        name = name.replace(".attention.norm_q.", ".attention.q_norm.").replace(
            ".attention.norm_k.", ".attention.k_norm."
        )
        if ".attention.to_" not in name:
            fused[prefix + name] = tensor
        elif name.endswith("to_q.weight"):
            parts = [stored[key.replace("to_q", f"to_{part}")] for part in "qkv"]
            fused[prefix + name.replace("to_q", "qkv")] = torch.cat(parts)
    save_file(fused, path)
    return path
