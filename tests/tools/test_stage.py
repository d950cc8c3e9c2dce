"""A training run that is stopped and started again ends with the very same weights."""

import random
from pathlib import Path

import pytest
import torch
from torch import nn

from demo_training.stage import Stage
from demo_training.vae import train_vae


class Stopped(Exception):
    """What a kill is in these tests."""


def trained(folder: Path, *, stop_at: int | None = None) -> torch.Tensor:
    """A linear layer after 60 steps on random numbers; its state is saved each 50 steps, and at the end."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    layer = nn.Linear(3, 1)
    optimiser = torch.optim.AdamW([{"params": list(layer.parameters()), "scale": 1.0}])

    def step(number: int, rng: random.Random) -> dict[str, float]:
        if number == stop_at:
            raise Stopped
        loss = (layer(torch.randn(8, 3)) - rng.random()).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return {"loss": loss.item()}

    stage = Stage("toy", folder, 60, peak_rate=1e-2, warmup=5, seconds_between_saves=0)
    stage.run({"layer": layer}, {"optimiser": optimiser}, step, look=lambda number: None, look_every=30)
    return layer.weight.detach().clone()


def test_a_stopped_run_goes_on_as_if_never_stopped(tmp_path: Path) -> None:
    straight = trained(tmp_path / "straight")
    with pytest.raises(Stopped):
        trained(tmp_path / "stopped", stop_at=55)
    assert torch.equal(trained(tmp_path / "stopped"), straight)
    assert torch.equal(trained(tmp_path / "stopped", stop_at=0), straight), "nothing is left to be done"
    assert [line.split()[2] for line in (tmp_path / "stopped/toy.log").read_text().splitlines()] == ["50/60"]


@pytest.mark.slow
def test_the_same_seed_trains_the_same_vae(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    first, second = (
        train_vae(folder, steps=2) for folder in (tmp_path, tmp_path / "again") if not folder.mkdir(exist_ok=True)
    )
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert (tmp_path / "vae_000002.png").is_file(), "a sheet of samples to look at"
