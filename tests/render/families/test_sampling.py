"""Schedules and noise against values of the trainer's code and of diffusers."""

import hashlib
from collections.abc import Callable

import pytest
import torch

from darkroom.errors import ConfigError
from darkroom.render.families.sampling import aitk_sigmas, diffusers_sigmas, euler, generator, noise, timestep


@pytest.mark.parametrize(
    ("steps", "tokens", "first", "last", "total"),
    [
        (4, 4096, [1, 0.904531, 0.759511], [0.512844, 0], 3.176886),
        (25, 4096, [1, 0.986979, 0.973204, 0.958609, 0.943119], [0.301023, 0.215456, 0.116289, 0], 17.580525),
        (30, 4096, [1, 0.989199, 0.977883], [0.184063, 0.098208, 0], 21.000098),
        (20, 1024, [1, 0.972733, 0.944129], [0.172612, 0.089934, 0], 12.567003),
        (25, 3072, [1, 0.984552, 0.968293], [0.187600, 0.099626, 0], 16.936732),
    ],
)
def test_aitk_schedule(steps: int, tokens: int, first: list[float], last: list[float], total: float) -> None:
    sigmas = aitk_sigmas(steps, tokens)
    assert len(sigmas) == steps + 1
    assert sigmas[: len(first)] == pytest.approx(first, abs=1e-6)
    assert sigmas[-len(last) :] == pytest.approx(last, abs=1e-6)
    assert sum(sigmas) == pytest.approx(total, abs=1e-5)


def test_schedules_differ_at_1024_and_coincide_at_1536() -> None:
    def gap(tokens: int) -> float:
        pairs = zip(aitk_sigmas(25, tokens), diffusers_sigmas(25, tokens), strict=True)
        return max(abs(ours - stock) for ours, stock in pairs)

    assert gap(4096) == pytest.approx(0.249, abs=1e-3)
    assert gap(9216) < 1e-5


@pytest.mark.parametrize(
    ("seed", "first", "digest"),
    [
        (0, [-1.125, -1.15625, -0.25, -0.43359375], "63a4aeda5eff13b5"),
        (42, [1.9296875, 1.484375, 0.90234375, -2.109375], "339a22e514bd1342"),
        (43, [-0.0166015625, -0.466796875, 2.09375, 0.61328125], "824a888162f92b22"),
    ],
)
def test_noise(seed: int, first: list[float], digest: str, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = noise((1, 128, 64, 64), generator(seed, "cpu"), torch.bfloat16)
    assert drawn.flatten()[:4].tolist() == pytest.approx(first, rel=1e-2)
    found = hashlib.sha256(drawn.view(torch.int16).numpy().tobytes()).hexdigest()[:16]
    if found != digest:  # soft: kernels without SIMD differ in low bits
        with capsys.disabled():
            print(f"noise of seed {seed}: other low bits on this processor ({found}, expected {digest})")


def test_noise_on_a_gpu_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"there is no GPU here to draw the noise on \(noise_device: cuda\)"):
        generator(42, "cuda")


def test_the_time_is_rounded_once_or_as_diffusers_pipelines_do() -> None:
    def told(sigma: float, rounding: str) -> float:
        return float(timestep(sigma, rounding, torch.bfloat16, torch.device("cpu")) * 1000)  # the embedder's own factor

    sigmas = aitk_sigmas(25, 4096)[:-1]
    assert [told(sigma, "aitk") for sigma in sigmas[:6]] == [1000, 988, 972, 956, 940, 924]
    gaps = [abs(told(sigma, "aitk") - told(sigma, "diffusers")) for sigma in sigmas]
    assert [step for step, gap in enumerate(gaps) if gap] == [3, 4, 5, 6, 13, 15, 22, 23, 24]
    assert max(gaps) == 4.0


def test_euler_follows_a_constant_velocity_and_counts_its_steps() -> None:
    steps: list[int] = []
    end = euler(torch.tensor([2.0]), [1.0, 0.75, 0.0], lambda latents, sigma: torch.ones(1), steps.append)
    assert end.item() == 1.0
    assert steps == [0, 1]


def test_euler_gives_the_model_each_sigma_but_the_last() -> None:
    seen: list[float] = []
    predict: Callable[[torch.Tensor, float], torch.Tensor] = lambda latents, sigma: (seen.append(sigma), latents)[1]  # noqa: E731
    euler(torch.ones(1), [1.0, 0.5, 0.0], predict, lambda step: None)
    assert seen == [1.0, 0.5]
