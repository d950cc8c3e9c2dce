"""One combination on several devices: each picture is made once, and what came of it is what one device makes of it."""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.render.bench import Bench, MakeRequest

from darkroom.errors import DeviceLostError, PictureError
from darkroom.files.weight_file import sha256_of
from darkroom.render.attempts.ways_out import WaysOut
from darkroom.render.combination import help_combination, render_combination
from darkroom.render.job import Job
from darkroom.render.pipelines import Pipelines
from darkroom.request.request import Request

_PATIENCE = 60.0  # seconds


def nothing() -> None:
    pass


def on_two_devices(
    job: Job, check: Callable[[], None] = nothing, check_of_help: Callable[[], None] = nothing
) -> BaseException | None:
    """The combination rendered by one device and another that helps; what the other failed with."""
    with ThreadPoolExecutor(1) as other:
        helped = other.submit(help_combination, job, Pipelines(), WaysOut(check_of_help))
        render_combination(job, Pipelines(), lambda progress: None, WaysOut(check))
        return helped.exception(_PATIENCE)


def in_step() -> Callable[[], None]:
    """A check for both, in which neither goes on before the other has come as far, while both have something to do."""
    barrier = threading.Barrier(2)

    def check() -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            barrier.wait(2.0)

    return check


@pytest.fixture
def requests(bench: Bench, make_request: MakeRequest) -> list[Request]:
    return [bench.request(make_request, seed=seed) for seed in range(5)]


def pictures(rows: list[dict[str, Any]]) -> list[bytes]:
    return [Image.open(row["image_path"]).tobytes() for row in rows]


def test_two_devices_share_the_pictures_evenly_and_make_what_one_makes(
    bench: Bench, requests: list[Request], tmp_path: Path
) -> None:
    alone, _ = bench.render(*requests)
    expected = pictures(alone)
    for request in requests:
        bench.store.image(request.request_id, "png", 95).unlink()

    assert on_two_devices(bench.write(*requests), *[in_step()] * 2) is None

    rows = bench.records()
    assert pictures(rows) == expected
    assert [row["request_id"] for row in rows] == [row["request_id"] for row in alone]
    assert not any(row["reused"] for row in rows)
    loads = [row["base_load_id"] for row in rows]
    assert sorted(loads.count(load) for load in set(loads)) == [2, 3]
    assert loads == sorted(loads, key=loads.index), "one from the front, the other from the end"
    assert all(row["seconds_save"] > 0 for row in rows)


def test_a_device_that_dies_takes_nothing_with_it(bench: Bench, requests: list[Request], tmp_path: Path) -> None:
    calls: list[None] = []

    def failing() -> None:
        calls.append(None)
        if len(calls) == 2:
            raise DeviceLostError("the GPU failed")

    error = on_two_devices(bench.write(*requests), check_of_help=failing)
    assert isinstance(error, DeviceLostError)
    rows = bench.records()
    assert len(pictures(rows)) == len(requests)
    assert len({row["base_load_id"] for row in rows}) <= 2


@pytest.mark.slow
def test_a_picture_that_cannot_be_made_is_told_of_once_by_the_device_that_has_begun(
    bench: Bench, make_request: MakeRequest, requests: list[Request], tmp_path: Path
) -> None:
    save_file({"prompt_embeds": torch.full((1, 512, 96), torch.nan)}, path := tmp_path / "nan.safetensors")
    own = {"prompt": "", "prompt_embeds": str(path), "prompt_embeds_sha256": sha256_of(path)}
    bad = bench.request(make_request, seed=9, **own)
    with pytest.raises(PictureError, match=r"^005_9: denoising ended in NaN"):
        on_two_devices(bench.write(*requests, bad), *[in_step()] * 2)
    assert all(bench.store.image(request.request_id, "png", 95).is_file() for request in requests)


@pytest.mark.slow
def test_there_is_nothing_to_help_with_when_all_is_in_the_store(
    bench: Bench, requests: list[Request], tmp_path: Path
) -> None:
    bench.render(*requests)
    pipelines = Pipelines()
    help_combination(bench.write(*requests), pipelines)
    assert pipelines.pace.seconds_per_image is None
