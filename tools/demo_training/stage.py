"""One training run that can be stopped at any time: state on disk, seeds by step, learning rate, log. Knows no model.

Random numbers of a step depend on the stage's name, the step and the process's number alone, so a resumed run goes on
as if never stopped.
"""

import hashlib
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from demo_training import team

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
_LINES = 50  # steps that a line of the log sums up


class Stateful(Protocol):
    """Modules and optimisers."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


@dataclass(frozen=True)
class Stage:
    """A run of `steps` steps whose state and log lie in `folder`."""

    name: str
    folder: Path
    steps: int
    peak_rate: float
    warmup: int = 100
    seconds_between_saves: float = 60.0

    def run(
        self,
        parts: Mapping[str, Stateful],
        optimisers: Mapping[str, torch.optim.Optimizer],
        step: Callable[[int, random.Random], Mapping[str, float]],
        look: Callable[[int], None],
        look_every: int,
    ) -> None:
        """Call `step(number, rng)` for each step that is still to do; what it returns is logged, by name.

        `parts` are saved and restored with the optimisers; `look(number)` now and then, to draw samples.
        Parameter groups of the optimisers say in `scale` how much of the learning rate they take.
        """
        whole: dict[str, Stateful] = {**parts, **optimisers}
        done = self._restore(whole)
        saved = time.monotonic()
        values: dict[str, list[float]] = {}
        for number in range(done, self.steps):
            for group in (group for optimiser in optimisers.values() for group in optimiser.param_groups):
                group["lr"] = self._rate(number) * group["scale"]
            seed = seed_of(self.name + team.suffix(), number)
            torch.manual_seed(seed)
            for name, value in step(number, random.Random(seed)).items():
                values.setdefault(name, []).append(value)
            if team.rank() > 0:
                continue
            if (number + 1) % _LINES == 0:
                self._log(
                    number + 1,
                    {name: sum(each) / len(each) for name, each in values.items()},
                )
                values = {}
            last = number + 1 == self.steps
            if last or ((number + 1) % _LINES == 0 and time.monotonic() - saved > self.seconds_between_saves):
                self._save(number + 1, whole)
                saved = time.monotonic()
            if last or (number + 1) % look_every == 0:
                look(number + 1)

    @property
    def state(self) -> Path:
        return self.folder / f"{self.name}.state"

    def _rate(self, number: int) -> float:
        """A linear rise, then half a cosine down to a hundredth."""
        if number < self.warmup:
            return self.peak_rate * (number + 1) / self.warmup
        share = (number - self.warmup) / max(1, self.steps - self.warmup)
        return self.peak_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)

    def _restore(self, parts: Mapping[str, Stateful]) -> int:
        if not self.state.is_file():
            return 0
        stored = torch.load(self.state, weights_only=True, map_location="cpu")
        for name, part in parts.items():
            part.load_state_dict(stored[name])
        return int(stored["done"])

    def _save(self, done: int, parts: Mapping[str, Stateful]) -> None:
        partial = self.state.with_suffix(".partial")
        torch.save(
            {"done": done, **{name: part.state_dict() for name, part in parts.items()}},
            partial,
        )
        partial.replace(self.state)

    def _log(self, done: int, values: Mapping[str, float]) -> None:
        figures = " ".join(f"{name} {value:.5f}" for name, value in values.items())
        line = f"{time.strftime('%H:%M:%S')} {self.name} {done}/{self.steps} {figures}"
        with (self.folder / f"{self.name}.log").open("a") as log:
            log.write(line + "\n")
        print(line, flush=True)


def reduced_precision() -> torch.autocast:
    """Matrix products in bfloat16, weights in float32."""
    return torch.autocast(DEVICE.type, torch.bfloat16)


def seed_of(name: str, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{name} {number}".encode()).digest()[:6])
