"""What comes from a device is read once it has passed, and the device is given the next picture before that."""

import io
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

from darkroom.errors import DeviceLostError, PictureError
from darkroom.files.weight_file import sha256_of
from darkroom.job_errors import read_job_error
from darkroom.render.device.stream import CudaStream, Event, HostStream, to_device
from darkroom.render.pipelines import Pipelines
from darkroom.render.trials import render_trials
from darkroom.store import ExperimentFolder
from darkroom.trials import OUTCOMES, Trial, TrialSheet

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
            self._changed.notify_all()
            for before, copy in self._on_their_way:
                copy.has_come |= before < self.passed


class FailingStream(LateStream):
    """The same, of a device that fails before it passes a point, and then passes none any more.

    `told_at`: the number of the point whose making hears of it, if the host does not wait for it before.
    """

    def __init__(self, points: int, before: int, told_at: int) -> None:
        super().__init__(points)
        self._before, self._told_at, self._has_failed = before, told_at, False

    def point(self) -> LatePoint:
        if self._given == self._told_at:
            self._fail()
        return super().point()

    def pass_(self, number: int) -> None:
        if self._has_failed or number >= self._before:
            self._fail()
        super().pass_(number)

    def _fail(self) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.passed >= self._before, _PATIENCE)
        self._has_failed = True
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nCompile with …")


class CrampedStream(HostStream):
    """Of a device that has no memory for its point `number`, once."""

    def __init__(self, number: int) -> None:
        self._number, self._given = number, 0

    def point(self) -> Event:
        self._given += 1
        if self._given == self._number + 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().point()


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


@pytest.mark.parametrize(
    ("before", "told_at", "had", "kept"),
    [
        (4 * 2, 99, "002_2", [True, True, False]),  # heard of where the third is fetched
        pytest.param(
            4 * 1, 4 * 2 + 1, "001_1, 002_2", [True, False, False], marks=pytest.mark.slow
        ),  # the second did it, the third's call hears of it
        pytest.param(4 * 0, 4 * 1, "000_0, 001_1", [False, False, False], marks=pytest.mark.slow),
    ],
)
def test_a_device_that_fails_is_told_of_all_pictures_that_it_had_and_only_the_others_are_there(
    bench: Bench, make_request: MakeRequest, before: int, told_at: int, had: str, kept: list[bool]
) -> None:
    requests = [bench.request(make_request, seed=seed) for seed in (0, 1, 2)]
    stream = FailingStream(12, before, told_at)
    bench.pipelines = Pipelines(stream=lambda device: stream)
    said = "the GPU failed: CUDA error: an illegal memory access was encountered; it had "
    with pytest.raises(DeviceLostError, match=f"^{said}{had}, which need not be the reason$"):
        bench.render(*requests)
    assert [bench.store.image(request.request_id, "png", 95).is_file() for request in requests] == kept
    assert not (bench.folder / "records.parquet").exists()
    assert (
        read_job_error(ExperimentFolder(bench.folder / "results/bench").log("render", *requests[0].title.names)) is None
    )

    bench.pipelines = Pipelines()  # a fresh worker's
    rows, _ = bench.render(*requests)
    loads = [row["base_load_id"] for row in rows]
    assert [load != loads[-1] for load in loads] == kept, "what was finished is not rendered again"


def test_no_trial_survives_a_device_that_fails(bench: Bench, make_request: MakeRequest) -> None:
    trials = tuple(Trial(f"seed {seed}", bench.request(make_request, seed=seed)) for seed in (1, 2))
    job = bench.write(*(trial.request for trial in trials))
    file = bench.folder / "floor/trials.json"
    TrialSheet(
        name="bench", checkpoint=str(job.checkpoint), image_format="png", quality=95, threads=1, trials=trials
    ).write(file)
    stream = FailingStream(8, before=4, told_at=99)
    with pytest.raises(DeviceLostError, match=r"it had 0, which need not be the reason$"):
        render_trials(file, job.results, pipelines=Pipelines(stream=lambda device: stream))
    assert not file.with_name(OUTCOMES).exists()


def test_memory_that_runs_out_takes_one_step_down_and_the_pictures_on_their_way_arrive(
    bench: Bench, make_request: MakeRequest
) -> None:
    requests = [bench.request(make_request, seed=seed) for seed in (0, 1, 2)]
    rows, _ = bench.render(*requests)
    expected = [Path(row["image_path"]).read_bytes() for row in rows]
    for request in requests:
        bench.store.image(request.request_id, "png", 95).unlink()
    stream = CrampedStream(4 * 1 + 2)
    bench.pipelines = Pipelines(stream=lambda device: stream)
    rows, _ = bench.render(*requests)
    assert [row["memory_mode"] for row in rows] == ["resident", "model", "model"]
    assert [decoded(Path(row["image_path"]).read_bytes()) for row in rows] == [decoded(data) for data in expected]


def test_what_ended_in_nan_is_not_tried_again_by_the_same_worker(
    bench: Bench, make_request: MakeRequest, tmp_path: Path
) -> None:
    save_file({"prompt_embeds": torch.full((1, 512, 96), torch.nan)}, path := tmp_path / "nan.safetensors")
    own = {"prompt": "", "prompt_embeds": str(path), "prompt_embeds_sha256": sha256_of(path)}
    request = bench.request(make_request, **own)
    stream = LateStream(4)
    bench.pipelines = Pipelines(stream=lambda device: stream)
    for _ in ("at first", "again"):
        with pytest.raises(PictureError, match=r"^000_42: denoising ended in NaN or infinity, in 2048 of 2048 numbers"):
            bench.render(request)
    assert stream.passed == 4


def test_a_black_picture_is_none(bench: Bench, make_request: MakeRequest) -> None:
    class Black(HostStream):
        def to_host(self, tensor: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(tensor) if tensor.dtype == torch.uint8 else tensor

    bench.pipelines = Pipelines(stream=lambda device: Black())
    said = r"^000_42: decoding ended in black, in all 12288 numbers, of latents from -[\d.]+ to [\d.]+, so there is no"
    with pytest.raises(PictureError, match=said):
        bench.render(request := bench.request(make_request))
    assert not bench.store.image(request.request_id, "png", 95).exists()


def decoded(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return image.tobytes()
