"""Renders planned combinations on a device that only sleeps, and says how long it was kept waiting.

    python benchmarks/stand_in.py RESULTS/EXPERIMENT --side 1024 --denoise 0.23 --decode 0.06

Worker, loop, adapters, writer, store and records are the real ones. The device is not: what it is given takes it so
long and no more, in order, while the host goes on, as a GPU does; launching kernels is left out. Its pictures
compress as photographs do. The combination of no LoRA comes first, to load the base, and is not counted.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import torch
from asked_worker import ask

from darkroom.record.rows import read_records
from darkroom.render import family, pipelines
from darkroom.render.families.flux2 import flux2
from darkroom.render.job import Job
from darkroom.render.worker.server import serve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("experiment", type=Path, help="its folder, with requests and embeddings")
    parser.add_argument("--side", type=int, required=True, help="of the pictures, in pixels")
    parser.add_argument("--denoise", type=float, required=True, help="seconds a picture")
    parser.add_argument("--decode", type=float, required=True, help="seconds a picture")
    parser.add_argument("--socket", type=Path, help="be the worker behind it")
    options = parser.parse_args()
    if options.socket:
        work(options)
    else:
        print(json.dumps(measure(options)))


# The worker


class SleepingStream:
    """Of a device that is done with what it is given after so many seconds, one after the other."""

    def __init__(self) -> None:
        self._done_at = 0.0

    def give(self, seconds: float) -> None:
        self._done_at = max(time.monotonic(), self._done_at) + seconds

    def point(self) -> "SleepingPoint":
        return SleepingPoint(max(time.monotonic(), self._done_at))

    def to_host(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor


class SleepingPoint:
    def __init__(self, at: float) -> None:
        self._at = at

    def wait(self) -> None:
        time.sleep(max(self._at - time.monotonic(), 0))

    def seconds_since(self, earlier: "SleepingPoint") -> float:
        return self._at - earlier._at


def work(options: argparse.Namespace) -> None:
    """A worker of Darkroom's whose family gives the device nothing but sleep."""
    torch.set_num_threads(1)
    stream, pictures = SleepingStream(), [picture(options.side, seed) for seed in range(4)]

    def denoise(base: Any, sampling: Any, *_: Any, on_step: Callable[[int], None]) -> tuple[torch.Tensor, list[float]]:
        for step in range(sampling.sample_steps):
            stream.give(options.denoise / sampling.sample_steps)
            on_step(step)
        return torch.full((1, 128, options.side // 16, options.side // 16), sampling.seed), [1.0, 0.0]

    def decode(base: Any, latents: torch.Tensor) -> torch.Tensor:
        stream.give(options.decode)
        return pictures[int(latents[0, 0, 0, 0]) % len(pictures)]

    class OnStandIn(pipelines.Pipelines):
        def __init__(self) -> None:
            super().__init__(stream=lambda device: stream)

    stand_in = SimpleNamespace(**{**vars(flux2), "denoise": denoise, "decode": decode})
    family.MODULES = {"flux2": lambda: stand_in}
    pipelines.Pipelines = OnStandIn
    serve(options.socket, os.getppid())


def picture(side: int, seed: int) -> torch.Tensor:
    """(side, side, 3) uint8 whose PNG is as large as a photograph's: brightness and colours as there, and grain."""
    drawn_from = np.random.default_rng(seed)
    frequencies = np.fft.fftfreq(side)
    distance = np.hypot(frequencies[:, None], frequencies[None])
    distance[0, 0] = np.inf

    def field(slope: float, deviation: float) -> Any:
        waves = drawn_from.normal(size=(side, side)) + 1j * drawn_from.normal(size=(side, side))
        values = np.fft.ifft2(waves / distance**slope).real
        return values * (deviation / values.std())

    grain = drawn_from.normal(size=(side, side)) * 1.7
    levels = 128 + field(1.45, 50)[..., None] + np.stack([field(1.95, 18) for _ in range(3)], -1) + grain[..., None]
    return torch.from_numpy(levels.clip(0, 255).round().astype(np.uint8))


# Its client


def measure(options: argparse.Namespace) -> dict[str, Any]:
    folder = options.experiment
    requests = sorted((folder / "requests").rglob("*.json"), key=lambda path: (path.parent.name != "none", path))
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        path = Path(name) / "worker.sock"
        log = stack.enter_context(Path("worker.log").open("w"))
        worker = subprocess.Popen([sys.executable, *sys.argv, "--socket", path], stderr=log)
        stack.callback(worker.wait)
        stack.callback(worker.kill)
        ask(path, job(folder, requests[0]))
        before, started = cpu_seconds(worker.pid), time.monotonic()
        for file in requests[1:]:
            ask(path, job(folder, file))
        seconds, after = time.monotonic() - started, cpu_seconds(worker.pid)
    rows = [row for file in requests[1:] for row in read_records(job(folder, file).records)[0]]
    saving = sorted(row.cost.seconds_save for row in rows)
    floor = len(rows) * (options.denoise + options.decode)
    return {
        "images": len(rows),
        "side": options.side,
        "seconds": round(seconds, 2),
        "floor": round(floor, 2),
        "floor_to_seconds": round(floor / seconds, 3),
        "cpu_ms_an_image_render_thread": round((after[0] - before[0]) / len(rows) * 1000, 1),
        "cpu_ms_an_image_other_threads": round((after[1] - before[1]) / len(rows) * 1000, 1),
        "ms_to_save_median": round(saving[len(saving) // 2] * 1000, 1),
        "png_mb_mean": round(sum(Path(row.image_path).stat().st_size for row in rows) / len(rows) / 1e6, 2),
    }


def job(folder: Path, requests: Path) -> Job:
    name = requests.relative_to(folder / "requests")
    return Job(
        directory=Path.cwd(),
        requests=requests,
        checkpoint=folder / "checkpoints" / f"{name.parts[0]}.json",
        records=(folder / "records" / name).with_suffix(".parquet"),
        results=folder.parent,
        store=folder.parent / "store",
    )


def cpu_seconds(worker: int) -> tuple[float, float]:
    """Of its main thread, which renders, and of all others."""
    spent = {each.id: each.user_time + each.system_time for each in psutil.Process(worker).threads()}
    total = psutil.Process(worker).cpu_times()
    return spent[worker], total.user + total.system - spent[worker]  # threads that have ended count too


if __name__ == "__main__":
    main()
