"""Measures Darkroom as a user runs it. Knows commands and clocks; imports nothing of Darkroom.

    python benchmarks/measure.py overhead [--images 200]     (a) Darkroom / bare diffusers, and (b) first denoising step
    python benchmarks/measure.py plan [--combinations 2000]  (c) parse and dry run: seconds and memory
    python benchmarks/measure.py device [--side 512]         (d) what a GPU waits for: one that sleeps, 10 LoRAs

Each prints one JSON object. Times are of one machine in one run: quote the ratios. Other programs disturb that of
processor time little.
"""

import argparse
import contextlib
import ctypes
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

REPOSITORY = Path(__file__).parents[1]
SNAKEFILE = REPOSITORY / "Snakefile"
PEFT = Path(sys.prefix) / "peft"  # diffusers needs it for LoRAs, Darkroom does not: `make bench` puts it there
PROMPTS = 4
LORAS = 10
PR_SET_CHILD_SUBREAPER = 36  # prctl(2): processes that outlive their parent become this one's children
SLEEPS = {1024: (0.23, 0.06), 512: (0.08, 0.02)}  # side in pixels → seconds to denoise, 4 steps, and to decode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    overhead = commands.add_parser("overhead")
    overhead.add_argument("--images", type=int, default=200)
    overhead.add_argument("--runs", type=int, default=3)
    overhead.set_defaults(command=lambda options: measure_overhead(options.images, options.runs))
    plan = commands.add_parser("plan")
    plan.add_argument("--combinations", type=int, default=2000)
    plan.set_defaults(command=lambda options: measure_plan(options.combinations))
    device = commands.add_parser("device")
    device.add_argument("--images", type=int, default=200)
    device.add_argument("--side", type=int, choices=SLEEPS, default=1024)
    device.set_defaults(command=lambda options: measure_device(options.images, options.side))
    options = parser.parse_args()
    print(json.dumps(options.command(options), indent=1))


def measure_overhead(images: int, runs: int) -> dict[str, Any]:
    """Whole processes, in turn: Snakemake with everything it starts, then the bare script on the same requests."""
    pairs = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_demo_project(folder, images)
            darkroom = run(snakemake(folder, "--config", "experiment=bench"), folder)
            requests = sorted((folder / "results/bench/requests").rglob("*.json"))
            bare = run(bare_diffusers(folder, requests), folder)
            parts = split(folder, darkroom)
            pairs.append({"darkroom": darkroom._asdict(), "bare": bare._asdict(), "parts": parts})
    return {"images": images, **ratios(pairs, "seconds"), **ratios(pairs, "processor"), "runs": pairs}


def ratios(pairs: list[dict[str, Any]], what: str) -> dict[str, Any]:
    found = [pair["darkroom"][what] / pair["bare"][what] for pair in pairs]
    return {f"ratio_of_{what}": round(statistics.median(found), 3), f"ratios_of_{what}": found}


def measure_plan(combinations: int) -> dict[str, Any]:
    """`snakemake -n` on an experiment of many LoRAs: 2 prompt sets, 10 images a combination."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_wide_project(folder, combinations // 2)
        began = time.monotonic()
        command = snakemake(folder, "-n", "--config", "experiment=wide")
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        python = run([sys.executable, "-c", "import snakemake.cli"], folder).seconds
    if status:
        raise SystemExit(f"snakemake -n failed with status {status}")
    return {
        "combinations": combinations,
        "images": combinations * 10,
        "seconds": round(seconds, 2),
        "ratio_to_importing_snakemake": round(seconds / python, 1),
        "peak_memory_mb": usage.ru_maxrss // 1024,
    }


def measure_device(images: int, side: int) -> dict[str, Any]:
    """Planned and encoded by Snakemake, then rendered by a worker whose device takes a GPU's time and does nothing."""
    denoise, decode = SLEEPS[side]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = write_device_project(folder, images, side)
        asked = [f"requests/demo/{lora}/{prompts}.json" for lora, prompts in names]
        planned = [f"results/device/{file}" for file in (*asked, "embeddings/demo.json")]
        run(snakemake(folder, "--config", "experiment=device", "--", *planned), folder)
        seconds = ["--side", str(side), "--denoise", str(denoise), "--decode", str(decode)]
        command = [sys.executable, str(REPOSITORY / "benchmarks/stand_in.py"), "results/device", *seconds]
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def split(folder: Path, whole: "Run") -> dict[str, float]:
    """Where Darkroom's time went, from its own manifest; the rest is Snakemake, processes and records."""
    rows = pq.read_table(folder / "results/bench/manifest.parquet").to_pylist()
    begins = [
        datetime.fromisoformat(row["started_at"]).timestamp() + row["seconds_load"] + row["seconds_switch"]
        for row in rows
        if row["started_at"]
    ]
    spent = {part: sum(row[f"seconds_{part}"] or 0 for row in rows) for part in ("load", "switch", "denoise", "decode")}
    return {"first_denoising_step": min(begins) - whole.began, **spent, "rest": whole.seconds - sum(spent.values())}


def write_demo_project(folder: Path, images: int) -> None:
    """`images` demo images: 5 adapter choices' worth of combinations, with four times the demo's own pixels."""
    seeds = images // (PROMPTS * 5)
    if seeds * PROMPTS * 5 != images:
        raise SystemExit(f"--images: expected a multiple of {PROMPTS * 5}, got {images}")
    write(folder / "conf/prompts/bench.yaml", "defaults: {width: 128, height: 128}\n" + yaml_prompts(PROMPTS))
    write(
        folder / "conf/experiment/bench.yaml",
        "# @package _global_\nmatrix:\n  model: [demo]\n  lora: [none, demo_lora, demo_lokr]\n  prompts: [bench]\n"
        f"  network_multiplier: [0.5, 1.0]\n  seed: {list(range(seeds))}\n"
        "exclude:\n  - {lora: none, network_multiplier: 0.5}\n",
    )


def write_device_project(folder: Path, images: int, side: int) -> list[tuple[str, str]]:
    """`images` pictures of 10 LoRAs, and a few of none; the combinations: LoRA, prompts."""
    seeds = images // (PROMPTS * LORAS)
    if seeds * PROMPTS * LORAS != images:
        raise SystemExit(f"--images: expected a multiple of {PROMPTS * LORAS}, got {images}")
    names = [f"lora_{number}" for number in range(LORAS)]
    for name in names:
        write_copy(REPOSITORY / "demo/demo_lora.safetensors", folder / f"loras/{name}.safetensors", name)
        write(folder / f"conf/lora/{name}.yaml", f"trigger_word: sks\nloras:\n  - {{path: loras/{name}.safetensors}}\n")
    size = f"defaults: {{width: {side}, height: {side}, sample_steps: 4, guidance_scale: 1.0}}\n"
    write(folder / "conf/prompts/warm.yaml", f"{size}trigger_word: sks\n{yaml_prompts(1)}")
    write(folder / "conf/prompts/bench.yaml", size + yaml_prompts(PROMPTS))
    left_out = [("none", "bench"), *((name, "warm") for name in names)]
    write(
        folder / "conf/experiment/device.yaml",
        f"# @package _global_\nmatrix:\n  model: [demo]\n  lora: [none, {', '.join(names)}]\n"
        f"  prompts: [warm, bench]\n  seed: {list(range(seeds))}\nexclude:\n"
        + "".join(f"  - {{lora: {lora}, prompts: {prompts}}}\n" for lora, prompts in left_out),
    )
    return [("none", "warm"), *((name, "bench") for name in names)]


def write_copy(source: Path, copy: Path, name: str) -> None:
    """The same tensors in a file of another digest."""
    data = source.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = {**header.get("__metadata__", {}), "copy": name}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


def write_wide_project(folder: Path, loras: int) -> None:
    (folder / "loras").mkdir(parents=True)
    shutil.copy(REPOSITORY / "demo/demo_lora.safetensors", folder / "loras/a")
    names = [f"lora_{number:04d}" for number in range(loras)]
    for name in names:
        os.link(folder / "loras/a", folder / f"loras/{name}.safetensors")
        write(folder / f"conf/lora/{name}.yaml", f"trigger_word: sks\nloras:\n  - {{path: loras/{name}.safetensors}}\n")
    for prompts in ("one", "two"):
        write(folder / f"conf/prompts/{prompts}.yaml", yaml_prompts(5))
    write(
        folder / "conf/experiment/wide.yaml",
        f"# @package _global_\nmatrix:\n  model: [demo]\n  lora: [{', '.join(names)}]\n  prompts: [one, two]\n"
        "  seed: [1, 2]\n",
    )


def yaml_prompts(count: int) -> str:
    return "prompts:\n" + "".join(f'  - {{prompt: "[trigger], picture number {number}"}}\n' for number in range(count))


def snakemake(folder: Path, *arguments: str) -> list[str]:
    base = [sys.executable, "-m", "snakemake", "-s", str(SNAKEFILE), "--directory", str(folder), "--cores", "1"]
    return [*base, *arguments]


def bare_diffusers(folder: Path, requests: list[Path]) -> list[str]:
    script = str(REPOSITORY / "benchmarks/bare_diffusers.py")
    checkpoint = str(REPOSITORY / "demo/klein")
    files = [str(path) for path in requests]
    return [sys.executable, script, "--checkpoint", checkpoint, "--output", str(folder / "bare"), "--requests", *files]


class Run(NamedTuple):
    """A whole process, with all that it started."""

    seconds: float  # until it ended; a worker that it started may end later
    processor: float  # seconds, of all of them
    began: float  # seconds since 1970


def run(command: list[str], folder: Path) -> Run:
    """One thread for torch on either side."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if any(argument.endswith("bare_diffusers.py") for argument in command):
        environment["PYTHONPATH"] = str(PEFT)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    seconds, processor, status = 0.0, 0.0, 0
    with tempfile.TemporaryFile("w+") as said:
        began, clock = time.time(), time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
        for child, ended, used in ended_children():
            processor += used.ru_utime + used.ru_stime
            if child == process.pid:
                seconds, status = time.monotonic() - clock, ended
        if status:
            said.seek(0)
            raise SystemExit(f"{command}: status {os.waitstatus_to_exitcode(status)}\n{said.read()}")
    return Run(seconds, processor, began)


def ended_children() -> Iterator[tuple[int, int, resource.struct_rusage]]:
    """Each as it ends, until there is none: process, status, what it and those used that it waited for itself."""
    with contextlib.suppress(ChildProcessError):
        while True:
            yield os.wait4(-1, 0)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    main()
