"""Whether a worker that is used for long grows: in memory, and in open files.

    python benchmarks/endurance.py switches [--switches 200]    4 tiny bases and 20 LoRAs, in this process
    python benchmarks/endurance.py jobs [--jobs 10000]          one job again and again, by a real worker's messages

Prints one JSON object: after how many there were how many MB of resident memory and how many open files, and the growth
over the second half, in which nothing is new any more.
"""

import argparse
import contextlib
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
sys.path[:0] = [str(REPOSITORY / "src"), str(REPOSITORY / "benchmarks")]

import psutil  # noqa: E402  (after the path, so that a checkout needs no installation)
import torch  # noqa: E402
from asked_worker import a_job, a_request, ask, with_digests  # noqa: E402
from random_flux2 import RandomModel, write_lora, write_model  # noqa: E402

from darkroom.files.weight_file import sha256_of  # noqa: E402
from darkroom.render.picture import make_picture  # noqa: E402
from darkroom.render.pipelines import Pipelines  # noqa: E402
from darkroom.request.parts import Lora  # noqa: E402
from darkroom.store import Store  # noqa: E402

CPU = torch.device("cpu")
BASES, LORAS = 4, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    switches = commands.add_parser("switches")
    switches.add_argument("--switches", type=int, default=200)
    switches.set_defaults(measure=lambda folder, options: measure_switches(folder, options.switches))
    jobs = commands.add_parser("jobs")
    jobs.add_argument("--jobs", type=int, default=10_000)
    jobs.set_defaults(measure=lambda folder, options: measure_jobs(folder, options.jobs))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(options.measure(Path(folder), options), indent=1))


def measure_switches(folder: Path, count: int) -> dict[str, Any]:
    """Each switch is to another base and another LoRA, drawn by chance, for a picture of one step."""
    torch.set_num_threads(1)
    chance, store, pipelines = random.Random(0), Store(folder / "store"), Pipelines()
    models = [write_model(folder / f"base_{number}", "tiny", CPU) for number in range(BASES)]
    loras = [write_lora_file(folder, models[0], rank) for rank in range(1, LORAS + 1)]
    curve = [seen(os.getpid(), 0)]
    for done in range(1, count + 1):
        number, lora = chance.randrange(BASES), chance.choice(loras)
        request = a_request(store, models[number], f"base_{number}", lora)
        checkpoint = models[number].checkpoint
        pipelines.with_base(
            checkpoint, request, lambda loaded, request=request: make_picture(store, request, loaded, lambda: None)
        )
        if done % max(count // 10, 1) == 0:
            gc.collect()
            curve.append(seen(os.getpid(), done))
    return told(curve)


def measure_jobs(folder: Path, count: int) -> dict[str, Any]:
    """Of a picture that the first of them renders, and all others find in the store."""
    job = a_job(folder, with_digests(write_model(folder / "base_0", "tiny", CPU)))
    path = folder / "worker.sock"
    with contextlib.ExitStack() as stack:
        command = [sys.executable, "-P", "-m", "darkroom", "rule", "worker", str(path), "--owner", str(os.getpid())]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "OMP_NUM_THREADS": "1"}
        worker = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
        stack.callback(worker.wait)
        stack.callback(worker.kill)
        curve = []
        for done in range(count + 1):
            ask(path, job)
            if done % max(count // 10, 1) == 0:
                curve.append(seen(worker.pid, done))
    return told(curve)


def write_lora_file(folder: Path, model: RandomModel, rank: int) -> Lora:
    path = folder / f"rank_{rank}.safetensors"
    write_lora(path, model, rank, CPU)
    return Lora(str(path), 1.0, sha256_of(path))


def seen(process: int, after: int) -> dict[str, float]:
    found = psutil.Process(process)
    return {
        "after": after,
        "mb": round(found.memory_info().rss / 1e6, 1),
        "open_files": found.num_fds(),
        "threads": found.num_threads(),
    }


def told(curve: list[dict[str, float]]) -> dict[str, Any]:
    middle, last = curve[len(curve) // 2], curve[-1]
    return {
        "curve": curve,
        "mb_over_the_second_half": round(last["mb"] - middle["mb"], 1),
        "open_files_over_the_second_half": last["open_files"] - middle["open_files"],
    }


if __name__ == "__main__":
    main()
