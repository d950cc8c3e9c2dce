"""Trains the demo's transformer and text encoder together by flow matching. Knows no file but its own state.

x_t = (1 - t) x_0 + t noise, and the model predicts noise - x_0, as ai-toolkit trains and Darkroom samples. Most times
are drawn near noise: latents of plain shapes are redundant, so that colours and shapes show through early.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from diffusers import AutoencoderKLFlux2
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import Qwen2Tokenizer

from darkroom.render.families.sampling import aitk_sigmas
from demo_training import team
from demo_training.captions import caption, instruction
from demo_training.latents import decoded, encode_scenes, normalised
from demo_training.models import LATENT_CHANNELS, Model
from demo_training.scenes import SIDE, Scene, draw_scene, edited
from demo_training.sheet import save_sheet
from demo_training.stage import DEVICE, Stage, reduced_precision, seed_of

PICTURES, EDITS = 20_000, 4_000
TOKENS = (SIDE // 16) ** 2  # of a picture
_PROMPTS, _NOISES = 24, 2  # a batch of one process: captions, and noises for each picture
_EDITS_FROM = 0.4  # share of the steps after which pictures with a reference image begin,
_EDIT_EVERY = 5  # one step in so many, with one noise for each picture
_EMPTY = 0.1  # share of captions left empty, for guidance
_UNIFORM = 0.2  # share of times drawn evenly
_SHIFT = 2.5  # how far the others are moved towards noise: about there the shape is decided
_EMA = 0.997


@dataclass(frozen=True)
class Data:
    """Cached tokens: pictures (n, hw, 4 C) of scenes, and pairs before and after an edit."""

    scenes: Sequence[Scene]
    pictures: Tensor
    edits: Sequence[tuple[Scene, str]]  # the scene afterwards, and what changed
    before: Tensor
    after: Tensor


def draw_times(count: int) -> Tensor:
    """Times of training, (count,)."""
    middle = torch.sigmoid(torch.randn(count, device=DEVICE))
    late = _SHIFT * middle / (1 + (_SHIFT - 1) * middle)
    even = torch.rand(count, device=DEVICE)
    return torch.where(torch.rand(count, device=DEVICE) < _UNIFORM, even, late)


def flow_loss(model: Model, clean: Tensor, embeds: Tensor, seen: Tensor | None = None) -> Tensor:
    """Mean squared error of the velocity, for one time and noise each."""
    times, noise = draw_times(len(clean)), torch.randn_like(clean)
    at = times.view(-1, 1, 1)
    predicted = model.velocity((1 - at) * clean + at * noise, times, embeds, seen)
    return (predicted.float() - (noise - clean)).square().mean()


@torch.no_grad()
def sample(
    model: Model,
    tokenizer: Qwen2Tokenizer,
    prompts: Sequence[str],
    guidance: float,
    steps: int = 25,
    seen: Tensor | None = None,
) -> Tensor:
    """Clean tokens, in float32 and in one batch: for a look during training. Figures are Darkroom's own pictures."""
    embeds, empty = (
        model.embed(tokenizer, prompts),
        model.embed(tokenizer, [""]).expand(len(prompts), -1, -1),
    )
    generator = torch.Generator().manual_seed(0)
    noisy = torch.randn(len(prompts), TOKENS, 4 * LATENT_CHANNELS, generator=generator).to(DEVICE)
    sigmas = aitk_sigmas(steps, TOKENS)
    for sigma, following in pairwise(sigmas):
        times = torch.full((len(prompts),), sigma, device=DEVICE)
        said, unsaid = (model.velocity(noisy, times, text, seen) for text in (embeds, empty))
        noisy = noisy + (following - sigma) * (unsaid + guidance * (said - unsaid))
    return noisy


def make_scenes() -> tuple[list[Scene], list[tuple[Scene, Scene, str]]]:
    """Of the pictures, and of the edits: before, after, what changed."""
    scenes = [draw_scene(random.Random(seed_of("scene", index))) for index in range(PICTURES)]
    edits = []
    for index in range(EDITS):
        rng = random.Random(seed_of("edit", index))
        before = draw_scene(rng)
        edits.append((before, *edited(rng, before)))
    return scenes, edits


def train_flow(
    folder: Path,
    steps: int,
    data: Data,
    tokenizer: Qwen2Tokenizer,
    vae: AutoencoderKLFlux2,
    *,
    compiled: bool = True,
) -> Model:
    """The averaged model after `steps` steps, those that `folder` has the state of left out.

    `compiled`: twice as quick on a CPU, after minutes of compiling. Attention is plain products, since the backward
    pass of the fused kernel is slow in bfloat16.
    """
    torch.manual_seed(0)
    model, average = Model().to(DEVICE), Model().to(DEVICE)
    average.load_state_dict(model.state_dict())
    stage = Stage("flow", folder, steps, peak_rate=1.5e-3, warmup=200)
    optimisers = _optimisers(model)
    if compiled:
        model.compile_parts()

    def step(number: int, rng: random.Random) -> dict[str, float]:
        is_edit = number >= _EDITS_FROM * steps and number % _EDIT_EVERY == _EDIT_EVERY - 1
        prompts, clean, seen = _edit_batch(rng, data) if is_edit else _batch(rng, data)
        prompts = ["" if rng.random() < _EMPTY else prompt for prompt in prompts]
        noises = 1 if is_edit else _NOISES
        with reduced_precision(), sdpa_kernel(SDPBackend.MATH):
            embeds = model.embed(tokenizer, prompts).repeat(noises, 1, 1)
            loss = flow_loss(model, clean.repeat(noises, 1, 1), embeds, seen)
        model.zero_grad()
        loss.backward()
        team.average_gradients(model.parameters())
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers.values():
            optimiser.step()
        _follow(average, model, min(_EMA, (1 + number) / (20 + number)))
        return {"edit_loss" if is_edit else "loss": loss.item(), "norm": norm.item()}

    def look(number: int) -> None:
        rng = random.Random(7)
        scenes = [draw_scene(rng, held_out=True) for _ in range(24)]
        prompts = [caption(rng, scene) for scene in scenes]
        pictures = [decoded(vae, sample(average, tokenizer, prompts, guidance)) for guidance in (1.0, 4.0)]
        told = [instruction(rng, scene, what) for scene, what in data.edits[:24]]
        changed = decoded(vae, sample(average, tokenizer, told, 4.0, seen=data.before[:24]))
        rows = [*pictures, decoded(vae, data.before[:24]), changed]
        save_sheet(torch.cat(rows), 24, folder / f"flow_{number:06d}.png")
        (folder / "flow_prompts.txt").write_text("\n".join([*prompts, "", *told]) + "\n")

    stage.run({"model": model, "average": average}, optimisers, step, look, look_every=500)
    return average.eval()


def make_data(vae: AutoencoderKLFlux2, pictures: Tensor, before: Tensor, after: Tensor) -> Data:
    """From cached latents that are not normalised yet."""
    scenes, edits = make_scenes()
    found = (normalised(vae, latents) for latents in (pictures, before, after))
    pictures, before, after = found
    return Data(
        scenes,
        pictures,
        [(after_scene, what) for _, after_scene, what in edits],
        before,
        after,
    )


def encode_data(vae: AutoencoderKLFlux2) -> dict[str, Tensor]:
    """All latents of training; a reference image is the mean, as the trainer and Darkroom encode it."""
    scenes, edits = make_scenes()
    return {
        "pictures": encode_scenes(vae, scenes, "pictures"),
        "before": encode_scenes(vae, [before for before, _, _ in edits], "before", sampled=False),
        "after": encode_scenes(vae, [after for _, after, _ in edits], "after"),
    }


def _batch(rng: random.Random, data: Data) -> tuple[list[str], Tensor, None]:
    chosen = [rng.randrange(len(data.scenes)) for _ in range(_PROMPTS)]
    return (
        [caption(rng, data.scenes[index]) for index in chosen],
        data.pictures[chosen],
        None,
    )


def _edit_batch(rng: random.Random, data: Data) -> tuple[list[str], Tensor, Tensor]:
    chosen = [rng.randrange(len(data.edits)) for _ in range(_PROMPTS)]
    return (
        [instruction(rng, *data.edits[index]) for index in chosen],
        data.after[chosen],
        data.before[chosen],
    )


def _optimisers(model: Model) -> dict[str, torch.optim.Optimizer]:
    """Muon for the matrices of the transformer's blocks, AdamW for all else."""
    matrices = [p for name, p in model.transformer.named_parameters() if "_blocks." in name and p.ndim == 2]
    others = [p for p in model.parameters() if all(p is not matrix for matrix in matrices)]
    muon = torch.optim.Muon(
        [{"params": matrices, "scale": 3.0}],
        adjust_lr_fn="match_rms_adamw",
        weight_decay=0.01,
    )
    adam = torch.optim.AdamW([{"params": others, "scale": 1.0}], betas=(0.9, 0.98), weight_decay=0.01)
    return {"muon": muon, "adam": adam}


@torch.no_grad()
def _follow(average: Model, model: Model, keep: float) -> None:
    for kept, new in zip(average.parameters(), model.parameters(), strict=True):
        kept.lerp_(new, 1 - keep)
