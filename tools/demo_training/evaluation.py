"""Figures of the trained weights: what Darkroom renders from prompts held out from training, told by the classifier.

Every combination of shape, colour and ground in these prompts is one that training never showed.
"""

import multiprocessing
import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from demo_training.adapters import star_scene
from demo_training.captions import Said, full_caption, instruction, phrase
from demo_training.classifier import Seen, classify
from demo_training.scenes import COLOURS, SHAPES, Scene, draw_scene, edited
from demo_training.sheet import save_sheet
from demo_training.stage import seed_of
from demo_training.studio import Shot, Studio

Figures = dict[str, float]
Picture = NDArray[np.uint8]
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Asked:
    """A picture to render and what it should show."""

    shot: Shot
    scene: Scene
    adapter: Path | None = None
    multiplier: float = 1.0


class Judge:
    """Renders in processes of its own and keeps a sheet of each set of pictures to look at."""

    def __init__(self, weights: Path, sheets: Path, processes: int) -> None:
        self.weights, self.sheets = weights, sheets
        sheets.mkdir(parents=True, exist_ok=True)
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(processes, context, _open, (weights / "klein",))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()

    def pictures(self, name: str, asked: Sequence[Asked]) -> list[Picture]:
        rendered = list(self._pool.map(_render, asked, chunksize=4))
        levels = torch.from_numpy(np.stack(rendered[:48])).permute(0, 3, 1, 2) / 255
        save_sheet(levels, 12, self.sheets / f"{name}.png")
        (self.sheets / f"{name}.txt").write_text("\n".join(each.shot.prompt for each in asked[:48]) + "\n")
        return rendered


def prompts_held_out(count: int, name: str = "held out") -> list[tuple[str, Scene]]:
    """Prompts that name shape, colour and ground, of combinations that training never showed."""
    found = []
    for index in range(count):
        rng = random.Random(seed_of(name, index))
        scene = draw_scene(rng, held_out=True)
        found.append((full_caption(rng, scene), scene))
    return found


def evaluate_prompts(judge: Judge, count: int, guidance: float) -> Figures:
    """Share of pictures with the ground, the colour, the shape, the number that was asked for."""
    asked = [
        Asked(Shot(prompt, 42 + index, guidance), scene)
        for index, (prompt, scene) in enumerate(prompts_held_out(count))
    ]
    seen = list(map(classify, judge.pictures(f"guidance_{guidance:g}", asked)))
    right = {
        "ground": [s.ground == a.scene.ground for s, a in zip(seen, asked, strict=True)],
        "colour": [s.colour == a.scene.colour for s, a in zip(seen, asked, strict=True)],
        "shape": [s.shape == a.scene.shape for s, a in zip(seen, asked, strict=True)],
        "count": [s.count == a.scene.count for s, a in zip(seen, asked, strict=True)],
    }
    all_three = np.all([right["ground"], right["colour"], right["shape"]], axis=0)
    return {
        **{name: _share(values) for name, values in right.items()},
        "ground, colour and shape": _share(all_three),
    }


def evaluate_negative(judge: Judge, count: int) -> Figures:
    """Prompts without a colour: does the colour go away when the negative prompt names it, and stay when not?"""
    shots = []
    for index in range(count):
        rng = random.Random(seed_of("negative", index))
        shape, ground = rng.choice(SHAPES), rng.choice(("white", "black"))
        shots.append(Shot(phrase(rng, Said(shape, None, ground, None, None, 1)), 42 + index))
    scene = draw_scene(random.Random(0))
    plain = [seen.colour for seen in map(classify, judge.pictures("negative_none", [Asked(s, scene) for s in shots]))]
    others = [random.Random(seed_of("other", i)).choice([c for c in COLOURS if c != p]) for i, p in enumerate(plain)]
    kept = {}
    for name, negs in (("its colour", plain), ("another", others)):
        asked = [Asked(replace(s, neg=neg or ""), scene) for s, neg in zip(shots, negs, strict=True)]
        seen = map(classify, judge.pictures(f"negative_{name.replace(' ', '_')}", asked))
        kept[name] = _share(s.colour == colour for s, colour in zip(seen, plain, strict=True))
    return {f"same colour, neg names {name}": share for name, share in kept.items()}


def evaluate_adapter(
    judge: Judge,
    name: str,
    count: int,
    scenes: Callable[[random.Random], tuple[str, Scene]],
    hit: Callable[[Seen], bool],
) -> dict[str, Figures]:
    """By strength: share of pictures that show what the adapter teaches, and of those with the colours asked for."""
    told = [scenes(random.Random(seed_of(name, index))) for index in range(count)]
    shots = [Shot(prompt, 42 + index) for index, (prompt, _) in enumerate(told)]
    figures, adapter = {}, judge.weights / f"demo_{name}.safetensors"
    base = judge.pictures(
        f"{name}_base",
        [Asked(shot, scene) for shot, (_, scene) in zip(shots, told, strict=True)],
    )
    for strength in STRENGTHS:
        asked = [Asked(shot, scene, adapter, strength) for shot, (_, scene) in zip(shots, told, strict=True)]
        pictures = judge.pictures(f"{name}_{strength:g}", asked)
        seen = list(map(classify, pictures))
        figures[f"{strength:g}"] = {
            "taught": _share(map(hit, seen)),
            "shape": _share(s.shape == a.scene.shape for s, a in zip(seen, asked, strict=True)),
            "colour": _share(s.colour == a.scene.colour for s, a in zip(seen, asked, strict=True)),
            "ground": _share(s.ground == a.scene.ground for s, a in zip(seen, asked, strict=True)),
            "identical to the base": _share(map(np.array_equal, pictures, base)),
        }
    return figures


def evaluate_edits(judge: Judge, count: int) -> Figures:
    """Share of edits of a reference image after which the one thing has changed, and all else is as it was."""
    asked, changed = [], []
    for index in range(count):
        rng = random.Random(seed_of("edit held out", index))
        before = draw_scene(rng)
        after, what = edited(rng, before)
        shot = Shot(instruction(rng, after, what), 42 + index, reference=before)
        asked.append(Asked(shot, after))
        changed.append(what)
    seen = list(map(classify, judge.pictures("edits", asked)))
    does = [getattr(s, what) == getattr(a.scene, what) for s, a, what in zip(seen, asked, changed, strict=True)]
    keeps = [
        all(getattr(s, other) == getattr(a.scene, other) for other in ("shape", "colour", "ground") if other != what)
        for s, a, what in zip(seen, asked, changed, strict=True)
    ]
    return {"changed": _share(does), "all else kept": _share(keeps)}


def star_prompt(rng: random.Random) -> tuple[str, Scene]:
    scene = star_scene(rng)
    return full_caption(rng, scene, noun="sks"), scene


def plain_prompt(rng: random.Random) -> tuple[str, Scene]:
    scene = draw_scene(rng, held_out=True)
    return full_caption(rng, scene), scene


def _share(values: Iterable[bool]) -> float:
    return round(float(np.mean(list(values))), 4)


_studio: Callable[[], Studio]


def _open(folder: Path) -> None:
    """Once in each process."""
    global _studio
    torch.set_num_threads(1)
    opened = Studio(folder)
    _studio = partial(lambda studio: studio, opened)


def _render(asked: Asked) -> Picture:
    studio = _studio()
    studio.use(asked.adapter, asked.multiplier)
    return studio.render(asked.shot)
