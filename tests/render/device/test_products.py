"""Products of bfloat16 in float32: the sums of a processor that has bfloat16, and every product of a picture is one."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.render.goldens import flux1_checkpoint, warm, zimage_checkpoint
from torch.nn.functional import conv2d, linear
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from darkroom.checkpoint import Checkpoint
from darkroom.render.device.products import Float32Products
from darkroom.render.family import family
from darkroom.render.weights.quanto import qfloat8, qint4, qint8
from darkroom.request.request import Request

aten = torch.ops.aten
PRODUCTS = {aten.mm, aten.addmm, aten.bmm, aten.baddbmm, aten.convolution}


class Narrow(TorchDispatchMode):
    """Notes the products of matrices that are given bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
        if func.overloadpacket in PRODUCTS and any(each.dtype == torch.bfloat16 for each in given):
            self.seen.append(f"{func}: {[tuple(each.shape) for each in given]}")
        return func(*args, **(kwargs or {}))


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).bfloat16()


@pytest.mark.parametrize(
    ("product", "given"),
    [
        (linear, (draw(5, 96), draw(64, 96), draw(64))),
        (lambda weight, given: linear(input=given, weight=weight), (draw(64, 96), draw(5, 96))),
        (conv2d, (draw(1, 8, 9, 9), draw(4, 8, 3, 3), draw(4))),
        (torch.matmul, (draw(2, 5, 96), draw(2, 96, 7))),
        (lambda left, right: left @ right, (draw(5, 96), draw(96, 7))),
        (torch.bmm, (draw(2, 5, 96), draw(2, 96, 7))),
    ],
    ids=["linear", "linear by names", "conv2d", "matmul", "@", "bmm"],
)
def test_a_product_is_that_of_float32_rounded_once(
    product: Callable[..., torch.Tensor], given: tuple[torch.Tensor, ...]
) -> None:
    with Narrow() as narrow:
        product(*given)
        assert len(narrow.seen) == 1
        with Float32Products():
            made = product(*given)
            in_float32 = product(*(each.float() for each in given))
    assert len(narrow.seen) == 1
    assert in_float32.dtype == torch.float32
    assert torch.equal(made, in_float32.bfloat16())


@pytest.mark.parametrize("quantise", [qfloat8, qint8, qint4])
def test_a_quantised_weight_multiplies_as_ever_with_products_in_float32(
    quantise: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    weight, x = quantise(draw(64, 128)), draw(5, 128)
    with Narrow() as narrow, Float32Products():
        made = linear(x, weight)
    there = linear(x, weight)
    assert narrow.seen == []
    assert (made - there).abs().max() <= there.abs().max() * 2**-7
    assert made.dtype == there.dtype


@pytest.fixture(params=["flux2", "flux", "zimage"])
def checkpoint(request: pytest.FixtureRequest, klein: Checkpoint) -> tuple[str, Checkpoint]:
    name = str(request.param)
    return name, {"flux2": klein, "flux": flux1_checkpoint("flux"), "zimage": zimage_checkpoint("zimage")}[name]


def test_every_product_of_a_picture_is_one(
    checkpoint: tuple[str, Checkpoint], make_request: Callable[..., Request]
) -> None:
    name, files = checkpoint
    guidance = "embedded" if name == "flux" else "cfg"
    asked = make_request(family=name, dtype="bfloat16", guidance=guidance, sample_steps=1)
    pipeline = warm(family(name), files, asked)
    with Narrow() as narrow, Float32Products():
        pipeline.render(asked)
    assert narrow.seen == []
