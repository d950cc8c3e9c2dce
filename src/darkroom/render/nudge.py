"""Nudged repeats: a picture rendered again as another machine might round it, which tells how far that could take it.

Each number that a linear layer of the transformer gives goes, with a small probability, to the next one above or below
that its dtype has: what another order of summation does to it. Embeddings, reference images and the VAE stay as they
are; so do weights, from which the next picture is rendered as ever.

A repeat is pixels alone, without a record and under no id, so that none is ever taken for the render.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from darkroom.checkpoint import Checkpoint
from darkroom.errors import ConfigError
from darkroom.render.device.mode import AUTO
from darkroom.render.loaded import Loaded
from darkroom.render.picture import make_picture
from darkroom.render.pipelines import Pipelines
from darkroom.render.weights.base import Base
from darkroom.request.digest import digest_of
from darkroom.request.request import Request
from darkroom.store import Store

PROBABILITY = 0.02  # that a number is nudged

_PIECE = 2**20  # numbers nudged at once: little memory beside a layer's output, which can have 10^8


def nudged_repeats(
    pipelines: Pipelines,
    checkpoint: Checkpoint,
    store: Store,
    request: Request,
    count: int,
    *,
    probability: float = PROBABILITY,
    offload: str = AUTO,
    check: Callable[[], None] = lambda: None,
) -> list[NDArray[np.uint8]]:
    """The pixels (height, width, 3) of repeats 1 … `count` of a request, whose embeddings `store` has.

    Each has a seed of its own, from the request's id and its number: the same repeat every time, and on each device
    the same nudges. `check` is called after each denoising step and may raise to abandon it all. PictureError where
    denoising ends in NaN.
    """

    def repeat(seed: int, loaded: Loaded) -> NDArray[np.uint8]:
        with nudged(loaded.base, seed, probability):
            pixels: NDArray[np.uint8] = make_picture(store, request, loaded, check).pixels
        return pixels

    repeats = []
    for number in range(1, count + 1):
        pipelines.pace.begin()
        work = partial(repeat, _seed(request, number))
        repeats.append(pipelines.with_base(checkpoint, request, work, offload=offload))
        pipelines.pace.count()
    return repeats


@contextmanager
def nudged(base: Base, seed: int, probability: float = PROBABILITY) -> Iterator[None]:
    """Have the linear layers of the transformer, quantised ones too, nudge what they give within.

    Which numbers are nudged is drawn on the CPU, whatever the device: once, for more numbers than are nudged at once,
    and then for each piece of an output where in these it begins. To draw for every number would take longer than
    denoising does on a GPU.
    """
    if base.model.compiled_blocks:
        raise ConfigError(
            f"{base.name}: repeats are of exact pictures; compiled blocks round nothing that can be nudged"
        )
    drawn_from = torch.Generator().manual_seed(seed)
    steps = _steps(2 * _PIECE, probability, drawn_from).to(base.device)

    def nudge(layer: torch.nn.Module, inputs: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        numbers = output.reshape(-1)
        for piece in torch.split(numbers, _PIECE):
            begin = int(torch.randint(_PIECE, (1,), generator=drawn_from))
            piece.copy_(stepped(piece, steps[begin : begin + piece.numel()]))
        return numbers.view(output.shape)

    layers = [layer for layer in base.transformer.modules() if isinstance(layer, torch.nn.Linear)]
    # Before the branches of live adapters, whether those hang there already or not: else the order would be chance.
    handles = [layer.register_forward_hook(nudge, prepend=True) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def stepped(values: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Each value's neighbour in its dtype, above for a step of 1 and below for -1; for 0 the value itself.

    Below a power of two the neighbour is half as far as above it. Infinities stay what they are, and none is made.
    """
    furthest = steps.to(values.dtype) * torch.finfo(values.dtype).max
    return torch.nextafter(values, torch.where((steps == 0) | values.isinf(), values, furthest))


def _steps(count: int, probability: float, drawn_from: torch.Generator) -> torch.Tensor:
    """(count,) int8: 1 or -1 with this probability, as often the one as the other, else 0."""
    is_nudged = torch.rand(count, generator=drawn_from) < probability
    signs = torch.randint(2, (count,), generator=drawn_from, dtype=torch.int8) * 2 - 1
    return is_nudged * signs


def _seed(request: Request, number: int) -> int:
    return int(digest_of([request.request_id, number])[:15], 16)
