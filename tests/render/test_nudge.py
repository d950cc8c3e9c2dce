"""Nudged repeats: the next number in either dtype, worked by hand, and repeats of every family, different by little."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tests.render.bench import Bench
from tests.render.conftest import PARITY
from tests.render.goldens import DTYPES, Warm, flux1_checkpoint, relative, warm

from darkroom.checkpoint import Checkpoint
from darkroom.errors import PictureError
from darkroom.files.weight_file import sha256_of
from darkroom.render.family import family
from darkroom.render.nudge import nudged, nudged_repeats, stepped
from darkroom.render.pipelines import Pipelines
from darkroom.render.weights.base import Base
from darkroom.request.parts import Lora
from darkroom.request.request import Request

pytestmark = pytest.mark.slow  # real renders, for `make test`

MakeRequest = Callable[..., Request]
Rendered = tuple[torch.Tensor, NDArray[np.uint8]]
INFINITY = float("inf")
# bfloat16 has 8 significant bits, float32 has 24; the smallest normal number of both is 2^-126.
# A value, the next one above it, the next one below it.
BFLOAT16 = {
    "one": (1.0, 1 + 2**-7, 1 - 2**-8),
    "a power of two below zero": (-4.0, -4 + 2**-6, -4 - 2**-5),
    "three": (3.0, 3 + 2**-6, 3 - 2**-6),
    "zero": (0.0, 2**-133, -(2**-133)),
    "the smallest number": (2**-133, 2**-132, 0.0),
    "the smallest normal number": (2**-126, 2**-126 + 2**-133, 2**-126 - 2**-133),
    "the largest number": (2.0**128 - 2.0**120, 2.0**128 - 2.0**120, 2.0**128 - 2.0**121),
    "infinity": (INFINITY, INFINITY, INFINITY),
    "infinity below zero": (-INFINITY, -INFINITY, -INFINITY),
}
FLOAT32 = {
    "one": (1.0, 1 + 2**-23, 1 - 2**-24),
    "a power of two below zero": (-4.0, -4 + 2**-22, -4 - 2**-21),
    "three": (3.0, 3 + 2**-22, 3 - 2**-22),
    "zero": (0.0, 2**-149, -(2**-149)),
    "the smallest number": (2**-149, 2**-148, 0.0),
    "the smallest normal number": (2**-126, 2**-126 + 2**-149, 2**-126 - 2**-149),
    "the largest number": (2.0**128 - 2.0**104, 2.0**128 - 2.0**104, 2.0**128 - 2.0**105),
    "infinity": (INFINITY, INFINITY, INFINITY),
    "infinity below zero": (-INFINITY, -INFINITY, -INFINITY),
}


@pytest.mark.parametrize(
    ("dtype", "value", "above", "below"),
    [
        pytest.param(dtype, *numbers, id=f"{name} in {dtype}")
        for dtype, table in ((torch.bfloat16, BFLOAT16), (torch.float32, FLOAT32))
        for name, numbers in table.items()
    ],
)
def test_a_step_goes_to_the_next_number(dtype: torch.dtype, value: float, above: float, below: float) -> None:
    found = stepped(torch.full((3,), value, dtype=dtype), torch.tensor([1, -1, 0], dtype=torch.int8))
    assert (found.dtype, found.tolist()) == (dtype, [above, below, value])


def test_what_is_no_number_stays_so() -> None:
    steps = torch.tensor([1, -1, 0], dtype=torch.int8)
    assert stepped(torch.full((3,), float("nan"), dtype=torch.bfloat16), steps).isnan().all()


def test_two_numbers_in_a_hundred_are_nudged_up_as_often_as_down(base: Base) -> None:
    """Of more than are nudged at once: 2 million."""
    layer = base.transformer.get_submodule("transformer_blocks.0.attn.to_q")
    x = torch.randn(1, 20_000, 96, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    with torch.no_grad():
        plain = layer(x)
        with nudged(base, seed=1):
            there = layer(x)
    above, below = (torch.nextafter(plain, torch.full_like(plain, limit)) for limit in (INFINITY, -INFINITY))
    assert ((there == above) | (there == below) | (there == plain)).all()
    assert (there > plain).double().mean().item() == pytest.approx(0.01, rel=0.03)
    assert (there < plain).double().mean().item() == pytest.approx(0.01, rel=0.03)
    halves = (there != plain).flatten()[: 2**20], (there != plain).flatten()[-(2**20) :]
    assert [half.double().mean().item() for half in halves] == pytest.approx([0.02, 0.02], rel=0.03)


@pytest.fixture(params=["klein", "dev", "flux", "flex2"])
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=DTYPES)
def dtype(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def asked(model: str, dtype: str, make_request: MakeRequest) -> Request:
    """A picture of each tiny model, 64x64, 4 steps."""
    embeds = {"prompt_embeds": str(PARITY / "dev" / "prompt_embeds.safetensors"), "prompt_embeds_sha256": "dev"}
    changes: dict[str, dict[str, Any]] = {
        "klein": {},
        "dev": {"guidance": "embedded", **embeds},
        "flux": {"family": "flux", "guidance": "embedded"},
        "flex2": {"family": "flex2", "guidance": "embedded"},
    }
    return make_request(dtype=dtype, **changes[model])


@dataclass(frozen=True)
class Made:
    """Latents and pixels of one picture, rendered six times on one loaded base, in this order."""

    render: Rendered
    first: Rendered  # the repeat of seed 1
    again: Rendered  # the same once more
    other: Rendered  # that of seed 2
    without_nudges: Rendered
    after: Rendered  # the render once more
    keeps_weights: bool


def all_of(pipeline: Warm, asked: Request) -> Made:
    weights = {name: weight.clone() for name, weight in pipeline.base.transformer.state_dict().items()}

    def repeat(**nudges: Any) -> Rendered:
        with nudged(pipeline.base, **nudges):
            return pipeline.render(asked)

    return Made(
        render=pipeline.render(asked),
        first=repeat(seed=1),
        again=repeat(seed=1),
        other=repeat(seed=2),
        without_nudges=repeat(seed=1, probability=0),
        after=pipeline.render(asked),
        keeps_weights=all(
            torch.equal(weights[name], now) for name, now in pipeline.base.transformer.state_dict().items()
        ),
    )


@pytest.fixture(scope="module")
def kept() -> dict[tuple[str, str], Made]:
    return {}


@pytest.fixture
def made(
    model: str, dtype: str, asked: Request, klein: Checkpoint, dev: Checkpoint, kept: dict[tuple[str, str], Made]
) -> Made:
    if (model, dtype) not in kept:
        checkpoint = {"klein": klein, "dev": dev}.get(model) or flux1_checkpoint(model)
        kept[model, dtype] = all_of(warm(family(asked.base.family), checkpoint, asked), asked)
    return kept[model, dtype]


class TestOfEveryFamily:
    def test_a_repeat_is_the_render_but_for_rounding(self, made: Made, dtype: str) -> None:
        least, most = {"float32": (1e-8, 1e-5), "bfloat16": (1e-3, 5e-2)}[dtype]  # of the latents
        latents, pixels = made.render
        for nudged_latents, nudged_pixels in (made.first, made.other):
            assert least < relative(nudged_latents, latents) < most
            assert decibels(nudged_pixels, pixels) > {"float32": 80, "bfloat16": 40}[dtype]

    def test_a_seed_gives_its_repeat_and_no_other(self, made: Made) -> None:
        assert torch.equal(made.first[0], made.again[0])
        assert not torch.equal(made.first[0], made.other[0])

    def test_without_nudges_a_repeat_is_the_render(self, made: Made) -> None:
        assert torch.equal(made.without_nudges[0], made.render[0])
        assert (made.without_nudges[1] == made.render[1]).all()

    def test_a_picture_after_a_repeat_is_the_one_before(self, made: Made) -> None:
        assert torch.equal(made.after[0], made.render[0])
        assert made.keeps_weights


def decibels(repeat: NDArray[np.uint8], render: NDArray[np.uint8]) -> float:
    error = float(np.square(repeat.astype(float) - render).mean())
    return 10 * float(np.log10(255**2 / error)) if error else INFINITY


def test_what_fails_within_leaves_no_nudge_behind(bench: Bench, make_request: MakeRequest) -> None:
    request = bench.request(make_request, dtype="bfloat16")
    base = bench.pipelines.base(bench.checkpoint, request).base
    with pytest.raises(PictureError), nudged(base, seed=1):
        raise PictureError("a picture that came to nothing")
    assert not any(module._forward_hooks for module in base.transformer.modules())


def repeats_of(bench: Bench, request: Request, count: int = 2, **how: Any) -> list[NDArray[np.uint8]]:
    return nudged_repeats(bench.pipelines, bench.checkpoint, bench.store, request, count, **how)


def test_the_store_has_the_picture_and_no_repeat(bench: Bench, make_request: MakeRequest) -> None:
    request = bench.request(make_request, dtype="bfloat16", sample_steps=4)
    first, second = repeats_of(bench, request)
    assert not (bench.store.root / "images").exists()
    ((rendered,), _) = bench.render(request)
    with Image.open(rendered["image_path"]) as image:
        render = np.asarray(image)
    assert rendered["image_sha256"] == bench.render(request)[0][0]["image_sha256"]
    assert len(list((bench.store.root / "images").rglob("*.png"))) == 1
    assert first.shape == render.shape == (64, 64, 3)
    assert len({picture.tobytes() for picture in (first, second, render)}) == 3
    assert (repeats_of(bench, request, 1)[0] == first).all(), "the number alone decides, not how many there are"
    assert (repeats_of(bench, request, 1, probability=0)[0] == render).all()


@pytest.mark.parametrize("quantize", [None, "qfloat8", "qint8", "qint4"])
def test_adapters_that_run_beside_their_layers_come_after_the_nudge(
    bench: Bench, make_request: MakeRequest, adapters: Path, quantize: str | None
) -> None:
    """In the first repeat they are hung up within it, in the second they hang there already."""
    path = adapters / "lora_fp32.safetensors"
    lora = Lora(str(path), 1.0, sha256_of(path))
    request = bench.request(
        make_request, dtype="bfloat16", loras=(lora,), lora_merge="live", quantize_transformer=quantize
    )
    (first,), (again,), (render,) = (repeats_of(bench, request, 1, **how) for how in ({}, {}, {"probability": 0}))
    assert (first == again).all()
    assert (first != render).any()


@pytest.mark.parametrize("offload", ["model", "block"])
def test_where_weights_rest_changes_no_repeat(bench: Bench, make_request: MakeRequest, offload: str) -> None:
    request = bench.request(make_request, dtype="bfloat16")
    (resident,) = repeats_of(bench, request, 1, offload="none")
    (there,) = nudged_repeats(Pipelines(), bench.checkpoint, bench.store, request, 1, offload=offload)
    assert (there == resident).all()
