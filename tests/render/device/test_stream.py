"""What comes from a device is read once it has passed, and the device is given the next picture before that."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.render.bench import Bench, MakeRequest
from torch._subclasses.fake_tensor import FakeTensorMode

from darkroom.errors import PictureError
from darkroom.files.weight_file import sha256_of
from darkroom.render.device.stream import CudaStream, to_device
from darkroom.render.pipelines import Pipelines

_PATIENCE = 60.0  # seconds, after which what is waited for never comes


class Coming(torch.Tensor):
    """A copy that cannot be used before the device has passed a point behind it."""

    has_come = False

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in args:
            if isinstance(tensor, Coming) and not tensor.has_come:
                raise RuntimeError("used before it had come from the device")
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **kwargs or {})


class LatePoint:
    def __init__(self, stream: "LateStream", number: int) -> None:
        self._stream, self._number = stream, number

    def wait(self) -> None:
        self._stream.pass_(self._number)

    def seconds_since(self, earlier: "LatePoint") -> float:
        assert self._number < self._stream.passed, "a clock that is read before the device has passed"
        return float(self._number - earlier._number)


class LateStream:
    """Of a device that never passes a picture's last point before it has been given the next one's first, if any."""

    def __init__(self, points: int) -> None:
        self._points, self._given = points, 0  # that there will be in all, and are
        self._on_their_way: list[tuple[int, Coming]] = []
        self._changed = threading.Condition()
        self.passed = 0

    def point(self) -> LatePoint:
        with self._changed:
            self._given += 1
            self._changed.notify_all()
            return LatePoint(self, self._given - 1)

    def to_host(self, tensor: torch.Tensor) -> torch.Tensor:
        copy = tensor.clone().as_subclass(Coming)
        self._on_their_way.append((self._given, copy))
        return copy

    def pass_(self, number: int) -> None:
        with self._changed:
            due = min(number + 2, self._points)
            assert self._changed.wait_for(lambda: self._given >= due, _PATIENCE), "the device was not given any more"
            self.passed = max(self.passed, number + 1)
            for before, copy in self._on_their_way:
                copy.has_come |= before < self.passed


def test_copies_of_a_gpu_go_between_it_and_the_host() -> None:
    with FakeTensorMode():
        coming = CudaStream().to_host(torch.empty(4, 6, 3, dtype=torch.uint8, device="cuda:0"))
        going = to_device(torch.empty(1, 128, 4, 4, dtype=torch.bfloat16), torch.device("cuda:0"))
    assert (coming.device.type, coming.dtype, coming.shape) == ("cpu", torch.uint8, (4, 6, 3))
    assert (going.device.type, going.dtype, going.shape) == ("cuda", torch.bfloat16, (1, 128, 4, 4))


@pytest.fixture
def late(bench: Bench) -> Callable[[int], None]:
    """Gives the bench such a device, for so many pictures."""

    def give(pictures: int) -> None:
        stream = LateStream(4 * pictures)
        bench.pipelines = Pipelines(stream=lambda device: stream)

    return give


def test_what_has_not_come_cannot_be_used() -> None:
    stream = LateStream(1)
    copy = stream.to_host(torch.ones(2))
    with pytest.raises(RuntimeError, match="used before it had come from the device"):
        copy.sum()
    stream.point().wait()
    assert copy.sum() == 2


def test_the_next_picture_is_given_before_the_last_one_is_fetched(
    bench: Bench, make_request: MakeRequest, late: Callable[[int], None], tmp_path: Path
) -> None:
    requests = [bench.request(make_request, seed=seed) for seed in (1, 2, 3)]
    rows, _ = bench.render(*requests, save_latents=True)
    expected = [Path(row["image_path"]).read_bytes() for row in rows]
    for request in requests:
        bench.store.image(request.request_id, "png", 95).unlink()
    late(3)
    rows, _ = bench.render(*requests, save_latents=True)
    assert [Path(row["image_path"]).read_bytes() for row in rows] == expected
    assert [row["seconds_denoise"] for row in rows] == [1.0, 1.0, 1.0], "between its points, as the device took it"


def test_a_picture_of_nan_fails_alone_though_the_next_one_was_begun(
    bench: Bench, make_request: MakeRequest, late: Callable[[int], None], tmp_path: Path
) -> None:
    save_file({"prompt_embeds": torch.full((1, 512, 96), torch.nan)}, path := tmp_path / "nan.safetensors")
    own = {"prompt": "", "prompt_embeds": str(path), "prompt_embeds_sha256": sha256_of(path)}
    requests = [bench.request(make_request, seed=seed, **(own if seed == 1 else {})) for seed in (0, 1, 2)]
    late(3)
    with pytest.raises(PictureError, match=r"^001_1: denoising ended in NaN or infinity"):
        bench.render(*requests)
    stored = [bench.store.image(request.request_id, "png", 95) for request in requests]
    assert [path.is_file() for path in stored] == [True, False, True]
    assert np.asarray(Image.open(stored[2])).shape == (64, 64, 3)
