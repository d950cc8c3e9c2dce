"""How far from exact the pictures of an experiment land when they are made faster, beside each picture's own floor.

    darkroom run demo && python benchmarks/distances.py demo

In the folder of a rendered experiment of FLUX.2; a few seconds of the processor a picture. Prints a line for each way:
the share of transformer passes that it leaves out, dB from exact (median, lowest), dB below the mean of the picture's
nudged repeats (median), and how many pictures are farther than the farthest of them. Beside what Darkroom has stand
fewer steps, and a first-block cache, which it does not have: where the first block adds nearly what it added in the
last step that was computed, all others are taken to add what they added then, for each text of guidance by itself.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "src")]

import torch  # noqa: E402  (after the path, so that a checkout needs no installation)

from darkroom.checkpoint import Checkpoint  # noqa: E402
from darkroom.planned import PlannedCombination  # noqa: E402
from darkroom.render.loaded import Loaded  # noqa: E402
from darkroom.render.nudge import nudged_repeats  # noqa: E402
from darkroom.render.picture import make_picture  # noqa: E402
from darkroom.render.pipelines import Pipelines  # noqa: E402
from darkroom.request.request import Request  # noqa: E402
from darkroom.review.pair.measures import Pixels, psnr  # noqa: E402
from darkroom.review.pair.own_floor import REPEATS  # noqa: E402
from darkroom.store import STORE, Store  # noqa: E402

THRESHOLDS = (0.05, 0.08, 0.12, 0.2, 0.3)
SHARES = (0.04, 0.2, 0.36, 0.48, 0.6)  # of the steps, left out
EQUAL = 100.0  # dB, said of equal pictures
FAST: dict[str, dict[str, bool]] = {
    "numerics: fast": {},
    "batched_guidance": {"batched_guidance": True},
    "compiled_blocks": {"compiled_blocks": True},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("--model", help="of the experiment, where it has several")
    parser.add_argument("--pictures", type=int, default=30, help="at most, spread over the experiment")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path("results") / options.experiment
    model = options.model or next(folder.glob("checkpoints/*.json")).stem
    planned = [PlannedCombination.read(file) for file in sorted(folder.glob(f"requests/{model}/*/*.json"))]
    requests = [request for combination in planned for request in combination.requests]
    measure(Checkpoint.read(folder / f"checkpoints/{model}.json"), requests[:: -(-len(requests) // options.pictures)])


def measure(checkpoint: Checkpoint, requests: Sequence[Request]) -> None:
    pipelines, store = Pipelines(), Store(Path("results") / STORE)

    def made(request: Request) -> Pixels:
        def work(loaded: Loaded) -> Pixels:
            return make_picture(store, request, loaded, lambda: None).pixels

        return pipelines.with_base(checkpoint, request, work)

    exact = [made(request) for request in requests]
    floors = [
        [decibels(repeat, picture) for repeat in nudged_repeats(pipelines, checkpoint, store, request, REPEATS)]
        for request, picture in zip(requests, exact, strict=True)
    ]

    def distances(changed: Iterable[Request]) -> str:
        found = [decibels(made(request), picture) for request, picture in zip(changed, exact, strict=True)]
        below = [statistics.mean(floor) - each for floor, each in zip(floors, found, strict=True)]
        beyond = sum(each < min(floor) for floor, each in zip(floors, found, strict=True))
        middle = f"{statistics.median(found):8.1f}{min(found):8.1f}{statistics.median(below):8.1f}"
        return f"{middle}{beyond:5d} of {len(found)}"

    means = [statistics.mean(floor) for floor in floors]
    say("nudged repeats", 0, f"{statistics.median(means):8.1f}{min(map(min, floors)):8.1f}")
    for share in SHARES:
        say("fewer steps", share, distances(fewer_steps(request, share) for request in requests))
    for threshold in THRESHOLDS:
        with first_block_cache(pipelines.base(checkpoint, requests[0]).base.transformer, threshold) as cache:
            said = distances(requests)
        say(f"first-block cache {threshold}", cache.left_out / cache.passes, said)
    for name, speedups in FAST.items():
        say(name, 0, distances(request.changed(numerics="fast", **speedups) for request in requests))


def say(name: str, left_out: float, said: str) -> None:
    print(f"{name:24}{left_out:6.0%}{said}", flush=True)


def fewer_steps(request: Request, share: float) -> Request:
    return request.changed(sample_steps=round(request.sampling.sample_steps * (1 - share)))


def decibels(one: Pixels, other: Pixels) -> float:
    found = psnr(one, other)
    return EQUAL if found is None else found


@dataclass
class Cache:
    """What blocks added in the last pass that was computed, by text: the texts of guidance take turns."""

    threshold: float
    passes: int = 0
    left_out: int = 0
    first: dict[float, torch.Tensor] = field(default_factory=dict)
    rest: dict[float, torch.Tensor] = field(default_factory=dict)
    text: float = 0.0
    leaves_out: bool = False

    def begin(self, text: torch.Tensor, time: torch.Tensor) -> None:
        """A pass with this text; at time 1 it is the first one of a picture."""
        self.text = float(text.double().sum())
        if float(time.flatten()[0]) == 1.0:
            self.first.pop(self.text, None)

    def decide(self, added: torch.Tensor) -> None:
        """Whether the other blocks are left out in this pass, in which the first one added so much."""
        last = self.first.get(self.text)
        self.leaves_out = last is not None and float((added - last).abs().mean() / last.abs().mean()) < self.threshold
        self.passes, self.left_out = self.passes + 1, self.left_out + self.leaves_out
        if not self.leaves_out:
            self.first[self.text] = added


@contextmanager
def first_block_cache(transformer: Any, threshold: float) -> Iterator[Cache]:
    """FLUX.2's blocks with it within: first blocks of two streams, (text, image), then of both in one tensor."""
    cache, joined = Cache(threshold), dict[str, torch.Tensor]()
    first, *rest = (*transformer.transformer_blocks, *transformer.single_transformer_blocks)
    forwards = {block: block.forward for block in (first, *rest)}

    def begin(module: Any, inputs: Any, named: Any) -> None:
        cache.begin(named["encoder_hidden_states"], named["timestep"])

    def compute_first(**named: Any) -> Any:
        text, image = forwards[first](**named)
        cache.decide(image - named["hidden_states"])
        joined["states"] = torch.cat([text, image], 1)
        return text, image

    def compute(block: Any) -> Callable[..., Any]:
        def forward(**named: Any) -> Any:
            states, text = named["hidden_states"], named["encoder_hidden_states"]
            if not cache.leaves_out:
                result = forwards[block](**named)
                if block is rest[-1]:
                    cache.rest[cache.text] = result - joined["states"]
                return result
            if text is not None:
                return text, states
            return states + cache.rest[cache.text] if block is rest[-1] else states

        return forward

    handle = transformer.register_forward_pre_hook(begin, with_kwargs=True)
    first.forward = compute_first
    for block in rest:
        block.forward = compute(block)
    try:
        yield cache
    finally:
        handle.remove()
        for block, forward in forwards.items():
            block.forward = forward


if __name__ == "__main__":
    main()
