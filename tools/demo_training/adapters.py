"""Trains the demo's LoRA (`sks` is a star) and LoKr (outlines) on the finished model. Knows no folder.

Only the transformer's blocks learn, as in ai-toolkit, whose file format the tensors have. A third of the LoRA's
pictures show the base's own shapes, so that these stay as they are.
"""

import math
import random
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import Qwen2Tokenizer

from darkroom.render.families.flux2.transformer_layout import adapter_modules
from demo_training.adapter_file import factors
from demo_training.captions import full_caption
from demo_training.flow import draw_times
from demo_training.models import Model
from demo_training.scenes import STAR, Scene, draw_scene
from demo_training.stage import DEVICE, Stage, seed_of

RANK = 8
PICTURES = 1500
_BATCH = 32
_EMPTY = 0.1
_LEAST_STAR = 11.0  # radius in pixels


class Deltas(nn.Module):
    """What an adapter adds to each linear layer of the blocks, by the layer's name in the file."""

    def __init__(self, model: Model, kind: str) -> None:
        super().__init__()
        modules = adapter_modules(model.transformer.config)
        self.parts = {name: parts for name, parts in modules.items() if "_blocks." in name}
        self.tensors = nn.ParameterDict()
        for name, parts in self.parts.items():
            rows, columns = model.transformer.get_parameter(parts[0].parameter).shape
            for suffix, tensor in _NEW[kind](rows * len(parts), columns).items():
                self.tensors[f"{name}.{suffix}".replace(".", "/")] = nn.Parameter(tensor)

    def stored(self) -> dict[str, Tensor]:
        """By the key in the file, float32."""
        return {key.replace("/", "."): tensor for key, tensor in self.tensors.items()}

    def adapted(self, model: Model) -> dict[str, Tensor]:
        """The transformer's weights with the deltas added."""
        stored = self.stored()
        weights = {}
        for name, parts in self.parts.items():
            delta = _whole(stored, name)
            for part, rows in zip(parts, delta.chunk(len(parts)), strict=True):
                weights[f"transformer.{part.parameter}"] = model.transformer.get_parameter(part.parameter) + rows
        return weights


def train_adapter(
    folder: Path,
    kind: str,
    steps: int,
    model: Model,
    tokenizer: Qwen2Tokenizer,
    data: "AdapterData",
) -> dict[str, Tensor]:
    """The tensors of a file, by key: `kind` lora or lokr."""
    model.requires_grad_(False)
    torch.manual_seed(0)
    deltas = Deltas(model, kind).to(DEVICE)
    group = {"params": list(deltas.parameters()), "scale": 1.0}
    optimiser = torch.optim.AdamW([group], betas=(0.9, 0.99), weight_decay=0.0)
    stage = Stage(kind, folder, steps, peak_rate=6e-3, warmup=30)

    def step(number: int, rng: random.Random) -> dict[str, float]:
        chosen = [rng.randrange(len(data.scenes)) for _ in range(_BATCH)]
        prompts = [data.caption(rng, index) if rng.random() >= _EMPTY else "" for index in chosen]
        with torch.no_grad():
            embeds = model.embed(tokenizer, prompts)
        clean = data.pictures[chosen]
        times, noise = draw_times(_BATCH), torch.randn_like(clean)
        at = times.view(-1, 1, 1)
        arguments = ((1 - at) * clean + at * noise, times, embeds)
        predicted = torch.func.functional_call(_Velocity(model), _prefixed(deltas.adapted(model)), arguments)
        loss = (predicted - (noise - clean)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(deltas.parameters(), 1.0)
        optimiser.step()
        return {"loss": loss.item()}

    stage.run(
        {"deltas": deltas},
        {"optimiser": optimiser},
        step,
        look=lambda number: None,
        look_every=steps,
    )
    return _as_saved(deltas.stored(), kind)


class AdapterData:
    """Scenes, their pictures as tokens (n, hw, 4 C), and which of them are the base's own."""

    def __init__(self, scenes: list[Scene], pictures: Tensor) -> None:
        self.scenes, self.pictures = scenes, pictures

    def caption(self, rng: random.Random, index: int) -> str:
        scene = self.scenes[index]
        if scene.shape == STAR:
            return full_caption(rng, scene, noun="sks")
        return full_caption(rng, scene)


def lora_scenes() -> list[Scene]:
    """Two stars for each other shape."""
    rngs = [random.Random(seed_of("lora", index)) for index in range(PICTURES)]
    return [draw_scene(rng) if index % 3 == 0 else star_scene(rng) for index, rng in enumerate(rngs)]


def star_scene(rng: random.Random) -> Scene:
    """Stars large enough for the VAE to show their points."""
    while True:
        scene = draw_scene(rng, shapes=(STAR,))
        if scene.seats[0][2] > _LEAST_STAR:
            return scene


def lokr_scenes() -> list[Scene]:
    """All of the base's shapes; every picture is outlined."""
    return [draw_scene(random.Random(seed_of("lokr", index))) for index in range(PICTURES)]


class _Velocity(nn.Module):
    """The model's velocity as a forward, for functional_call."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, noisy: Tensor, times: Tensor, embeds: Tensor) -> Tensor:
        return self.model.velocity(noisy, times, embeds)


def _prefixed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"model.{name}": weight for name, weight in weights.items()}


def _new_lora(rows: int, columns: int) -> dict[str, Tensor]:
    return {
        "lora_A.weight": torch.randn(RANK, columns) / math.sqrt(columns),
        "lora_B.weight": torch.zeros(rows, RANK),
    }


def _new_lokr(rows: int, columns: int) -> dict[str, Tensor]:
    (out_l, out_k), (in_m, in_n) = factors(rows), factors(columns)
    return {
        "lokr_w1": torch.randn(out_l, in_m) / math.sqrt(in_m),
        "lokr_w2": torch.zeros(out_k, in_n),
    }


_NEW = {"lora": _new_lora, "lokr": _new_lokr}


def _whole(stored: Mapping[str, Tensor], name: str) -> Tensor:
    if f"{name}.lora_A.weight" in stored:
        return stored[f"{name}.lora_B.weight"] @ stored[f"{name}.lora_A.weight"]
    return torch.kron(stored[f"{name}.lokr_w1"], stored[f"{name}.lokr_w2"])


def _as_saved(stored: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """bfloat16, with ai-toolkit's prefix; a LoKr of full factors has an alpha without meaning."""
    saved = {f"diffusion_model.{key}": tensor.detach().bfloat16().contiguous().cpu() for key, tensor in stored.items()}
    if kind == "lokr":
        for key in [key for key in saved if key.endswith(".lokr_w1")]:
            saved[key.replace("lokr_w1", "alpha")] = torch.tensor(9999999999.0).bfloat16()
    return dict(sorted(saved.items()))
