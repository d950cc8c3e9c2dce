"""A results folder with thousands of records, and what each command that reads all of them takes.

    python benchmarks/crowd.py                                    2,000, 10,000 and 20,000 records
    python benchmarks/crowd.py --records 200000 --folder /big     0.6 GB in files of 2 KB, half an hour

Pictures are of 16x16 pixels and no two are equal; 100 are a combination. Prints one JSON object: for each command
seconds of the clock and of the processor, peak memory in MB, and how the processor's seconds grow where the records
grow tenfold: 1 is linear.
"""

import argparse
import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY / "src"))

import numpy as np  # noqa: E402  (after the path, so that a checkout needs no installation)

from darkroom.files.content import SUMS  # noqa: E402
from darkroom.files.images.image_file import encode_image  # noqa: E402
from darkroom.names import Names  # noqa: E402
from darkroom.planned import Contained, Contents, PlannedCombination  # noqa: E402
from darkroom.record.circumstances import Cost, Environment  # noqa: E402
from darkroom.record.embedded import EmbeddedRecord  # noqa: E402
from darkroom.record.rows import Record, write_records  # noqa: E402
from darkroom.request.request import Request  # noqa: E402
from darkroom.store import ExperimentFolder, Store  # noqa: E402

A_COMBINATION = 100  # pictures
ENVIRONMENT = Environment(
    device="cpu",
    gpu_name=None,
    attention_backend="sdpa",
    threads=1,
    torch_version="2.13.0",
    diffusers_version="0.42.1",
    transformers_version="5.23.0",
    darkroom_version="0.1.0",
)
COST = Cost(
    worker_pid=1,
    base_load_id="1",
    seconds_load=0.0,
    seconds_switch=0.1,
    seconds_denoise=2.0,
    seconds_decode=0.2,
    seconds_save=0.1,
    peak_memory_bytes=10**9,
    memory_mode="resident",
    memory_plan="resident: the fastest that fits",
    started_at="2026-01-01T00:00:00.000+00:00",
)
COMMANDS = {
    "manifest": "rule manifest results/crowd results/crowd/manifest.parquet",
    "page": "rule report results/crowd/manifest.parquet results/crowd/report.html",
    "list": "list",
    "prune": "prune",
    "check": "check",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="+", default=[2_000, 10_000, 20_000])
    parser.add_argument("--folder", type=Path, help="where they lie for a while (default: the system's)")
    options = parser.parse_args()
    measured = {}
    for count in options.records:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            fabricate(Path(folder) / "results", count)
            measured[count] = {name: taken(command, Path(folder)) for name, command in COMMANDS.items()}
            page = Path(folder) / "results/crowd/report.html"
            measured[count]["page"]["mb_of_html"] = round(page.stat().st_size / 1e6, 1)
        print(f"{count} records: {json.dumps(measured[count])}", file=sys.stderr, flush=True)
    print(json.dumps({"records": measured, "growth": growth(measured)}, indent=1))


def fabricate(results: Path, count: int) -> None:
    """An experiment that is finished but for its manifest and its page, as `count` pictures of one model leave it."""
    folder, store = ExperimentFolder(results / "crowd"), Store(results / "store")
    request = Request.from_json(json.loads((REPOSITORY / "tests/data/record/request.json").read_text()))
    combinations, sums = [], defaultdict[Path, list[str]](list)
    for first in range(0, count, A_COMBINATION):
        names = Names("crowd", f"lora_{first // A_COMBINATION:05}", "words")
        requests, records = [], []
        for seed in range(first, min(first + A_COMBINATION, count)):
            own = request.changed(
                **{"experiment": "crowd", "model": names.model, "lora": names.lora, "prompts": names.prompts},
                **{"index": seed - first, "image_name": f"{seed - first:03}_{seed}", "seed": seed},
            )
            record = EmbeddedRecord.of(own, ENVIRONMENT, (), (1.0, 0.5, 0.0))
            path, shown = (
                store.image(own.request_id, "png", 95),
                folder.images(names) / f"{own.title.image_name}.png",
            )
            content = encode_image(_pixels(seed), record.to_json(), "png", 95)
            for file in (path, shown):
                file.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            os.link(path, shown)
            sha256 = hashlib.sha256(content).hexdigest()
            sums[path.parent].append(f"{sha256}  {path.name}\n")
            requests.append(own)
            records.append(
                Record(
                    **vars(record),
                    image_path=str(shown.relative_to(results.parent)),
                    image_sha256=sha256,
                    image_format="png",
                    reused=False,
                    cost=COST,
                )
            )
        output = {"format": "png", "quality": 95, "save_latents": False, "metadata": "full", "provenance": "none"}
        planned = PlannedCombination(asked="", lost="", output=output, lora_merge="auto", requests=tuple(requests))
        planned.write(folder.requests(names))
        write_records(folder.records(names), records, {"experiment": "crowd"})
        combinations.append(Contained(names, len(requests), len(requests)))
    for own_folder, lines in sums.items():
        (own_folder / SUMS).write_text("".join(lines))
    Contents(experiment="crowd", source="crowd", combinations=tuple(combinations)).write(folder.contents)


def taken(command: str, folder: Path) -> dict[str, float]:
    """By a process of its own. Nothing of a question is answered."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "darkroom", *command.split()],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "HOME": str(folder)},
    )
    assert process.stderr is not None
    said = process.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    if status and "prune" not in command:  # which ends with 1 where nobody agrees
        raise SystemExit(f"darkroom {command}: status {status}\n{said}")
    return {
        "seconds": round(time.monotonic() - began, 2),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mb": usage.ru_maxrss // 1024,
    }


def growth(measured: dict[int, dict[str, dict[str, float]]]) -> dict[str, float]:
    """By command, the exponent of records in the processor's seconds, from the second smallest to the largest."""
    if len(measured) < 2:
        return {}
    few, many = sorted(measured)[-2:]
    return {
        name: round(
            math.log(measured[many][name]["processor_seconds"] / measured[few][name]["processor_seconds"])
            / math.log(many / few),
            2,
        )
        for name in COMMANDS
    }


def _pixels(seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)


if __name__ == "__main__":
    main()
