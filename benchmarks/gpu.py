"""What a GPU makes of Darkroom: one command, one table, one JSON file, in ten minutes at most.

    python benchmarks/gpu.py              random klein-4B at full size, and the tiny goldens (8 GB of disk for a while)
    python benchmarks/gpu.py --short      the same with fewer repeats, in half the time
    python benchmarks/gpu.py --large      klein-9B and dev as well
    python benchmarks/gpu.py --tiny       everything at a size for a CPU, which will do: what the tests run

Drives the render room in this process: neither Snakemake nor Hydra has to be installed. A part that fails is a row of
the table, the others go on, and the exit status is 1. Result: benchmarks/results/gpu-<date>-<card>.json
"""

import argparse
import json
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
sys.path[:0] = [str(REPOSITORY / "src"), str(REPOSITORY / "benchmarks")]

import torch  # noqa: E402  (after the path, so that a checkout needs no installation)
from figures import Row, Setting, pipelines_on, word  # noqa: E402
from full_size import full_size  # noqa: E402
from goldens import golden, golden_cases  # noqa: E402
from lost_device import lost_device  # noqa: E402

from darkroom.render.device.environment import environment_of, memory_budget  # noqa: E402
from darkroom.render.families.sampling import generator  # noqa: E402
from darkroom.render.pipelines import Pipelines  # noqa: E402


def main() -> int:
    options = _options()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    names = ["tiny"] if options.tiny else ["flux2_klein_4b", *(["flux2_klein_9b", "flux2"] if options.large else [])]
    if device.type == "cpu" and not options.tiny:
        print("gpu.py: no CUDA device: --tiny runs everything on a CPU, at a size that says nothing of a GPU")
        return 1
    torch.set_num_threads(1 if options.tiny else torch.get_num_threads())
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        setting = Setting(Path(folder), device, options.tiny, 1 if options.tiny else 2 if options.short else 5)
        rows = list(_rows(setting, names, options.short or options.tiny))
    rows.append(Row("whole", "seconds that all of this took", time.monotonic() - started, "s"))
    _write(rows, device, options)
    return int(any(row.is_good is False for row in rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="fewer repeats, fewer goldens")
    parser.add_argument("--large", action="store_true", help="klein-9B and dev too: 18 and 64 GB of weights")
    parser.add_argument("--tiny", action="store_true", help="tiny models: on a CPU as well, as the tests do")
    parser.add_argument("--folder", type=Path, help="where random weights lie for a while (default: the system's)")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "benchmarks/results", help="for the JSON file")
    return parser.parse_args()


def _rows(setting: Setting, names: Sequence[str], is_short: bool) -> Iterator[Row]:
    """Part by part, each printed as it comes."""
    cases = golden_cases(8 if is_short else 1, 1 if setting.is_tiny else None)
    here, on_cpu = pipelines_on(setting.device), pipelines_on(torch.device("cpu"))
    parts: list[tuple[str, Callable[[], Iterator[Row]]]] = [
        ("device", partial(device_facts, setting)),
        *(("goldens", partial(golden, setting, case, here, on_cpu)) for case in cases),
        ("goldens", partial(_let_go, here)),  # or their models would count among the memory of the next ones
        ("noise", partial(noise, setting)),
        *((name, partial(full_size, setting, name)) for name in names),
        ("lost device", partial(lost_device, setting)),
    ]
    for name, part in parts:
        try:
            for row in part():
                print(_line(row), flush=True)
                yield row
        except Exception as error:  # of any kind: the other parts have to be measured all the same
            traceback.print_exc()
            row = Row(name, "failed", f"{type(error).__name__}: {str(error).partition(chr(10))[0]}", is_good=False)
            print(_line(row), flush=True)
            yield row


def _let_go(pipelines: Pipelines) -> Iterator[Row]:
    pipelines.let_go()
    return iter(())


# 1. What is here


def device_facts(setting: Setting) -> Iterator[Row]:
    environment = environment_of(setting.device, torch.bfloat16)
    yield Row("device", "card", environment.gpu_name or platform.processor() or platform.machine())
    yield Row("device", "attention in effect", environment.attention_backend)
    yield Row("device", "torch", environment.torch_version)
    yield Row("device", "diffusers", environment.diffusers_version)
    if setting.device.type == "cuda":
        capability = torch.cuda.get_device_capability()
        yield Row("device", "compute capability", ".".join(map(str, capability)))
        yield Row("device", "CUDA", f"{torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}")
        yield Row("device", "memory", memory_budget(setting.device).total / 1e9, "GB")


def noise(setting: Setting) -> Iterator[Row]:
    """Drawn on the device: the same from the same seed, and other than the CPU's."""
    drawn = [
        torch.randn(1, 128, 64, 64, generator=generator(42, where), device=where).cpu()
        for where in (setting.device.type, setting.device.type, "cpu")
    ]
    yield Row("noise", "twice the same", word(torch.equal(drawn[0], drawn[1])), is_good=torch.equal(*drawn[:2]))
    is_cpus = torch.equal(drawn[0], drawn[2])
    yield Row("noise", "the CPU's", word(is_cpus), is_good=is_cpus == (setting.device.type == "cpu"))


def _line(row: Row) -> str:
    value = f"{row.value:.4g}" if isinstance(row.value, float) else row.value
    mark = {True: "ok ", False: "BAD", None: "   "}[row.is_good]
    return f"{mark} {row.part:16} {row.what:52} {value} {row.unit}".rstrip()


def _write(rows: Sequence[Row], device: torch.device, options: argparse.Namespace) -> None:
    card = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    now = datetime.now(UTC)
    name = f"gpu-{now:%Y-%m-%d}-{card.replace(' ', '-').replace('/', '-')}{'-tiny' if options.tiny else ''}.json"
    content = {
        "made_at": now.isoformat(timespec="seconds"),
        "command": " ".join(["gpu.py", *sys.argv[1:]]),
        "rows": [asdict(row) for row in rows],
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / name).write_text(json.dumps(content, indent=1) + "\n")
    bad = sum(row.is_good is False for row in rows)
    print(f"{options.out / name}: {len(rows)} rows, {bad} bad")


if __name__ == "__main__":
    sys.exit(main())
