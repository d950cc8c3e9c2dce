"""What a switch of adapters costs beside one copy of the weights that it touches, at a model's real shapes.

    python benchmarks/switching.py                     klein-4B with a fifth of its blocks: 4 GB of memory, 1.7 of disk
    python benchmarks/switching.py --blocks 5 20       with all of them: 17 GB of memory, 8 of disk
    python benchmarks/switching.py --model tiny        in a second, to try the script

On one CPU thread, with random weights; from copies in memory and from the base's file, which several threads read.
Prints one JSON object: ratios of processor time, which other programs disturb little, and seconds of the clock.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
sys.path[:0] = [str(REPOSITORY / "src"), str(REPOSITORY / "benchmarks")]

import torch  # noqa: E402  (after the path, so that a checkout needs no installation)
from random_flux2 import RandomModel, write_lokr, write_lora, write_model  # noqa: E402

from darkroom.lora_files.families import NAMINGS  # noqa: E402
from darkroom.render.adapters.file import Adapter, read_adapter  # noqa: E402
from darkroom.render.adapters.merged import MergedStack  # noqa: E402
from darkroom.render.device.mode import IN_FILE, ON_DEVICE  # noqa: E402
from darkroom.render.device.pristine import Pristine  # noqa: E402
from darkroom.render.family import family  # noqa: E402
from darkroom.render.weights.base import Base  # noqa: E402
from darkroom.request.parts import BaseModel  # noqa: E402

CPU = torch.device("cpu")
_FIFTH = (1, 4)  # blocks of klein-4B, which has 5 double and 20 single ones


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="flux2_klein_4b", help="of render/families/flux2/real_sizes.py, or tiny")
    parser.add_argument("--blocks", type=int, nargs=2, default=_FIFTH, metavar=("DOUBLE", "SINGLE"))
    parser.add_argument("--repeats", type=int, default=3, help="of each switch, of which the quickest counts")
    parser.add_argument("--folder", type=Path, help="where random weights lie for a while (default: the system's)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        model = write_model(Path(folder) / "model", options.model, CPU, tuple(options.blocks))
        numbers = BaseModel(family="flux2", dtype="bfloat16", guidance="cfg", numerics="exact")
        base = family("flux2").load(model.checkpoint, numbers, CPU)
        print(json.dumps(_measured(Path(folder), model, base, options.repeats), indent=1))


def _measured(folder: Path, model: RandomModel, base: Base, repeats: int) -> dict[str, Any]:
    switches: dict[str, dict[str, Any]] = {}
    for name, adapter in _adapters(folder, model, base):
        layers = [part.parameter for layer in adapter.deltas for part in base.adapter_modules[layer]]
        copy = _copy(base, layers, repeats)
        for place in (ON_DEVICE, IN_FILE):
            stack = MergedStack(base, Pristine(base, place))
            stack.apply([(adapter, 0.25)], "merged")  # what is copied is copied by now
            turns = {
                "merged, strength 0.5": (1.0, 0.5),
                "merged, strength 1": (0.5, 1.0),
                "back to the base": (1.0, 0.0),
            }
            for what, (before, strength) in turns.items():
                taken = [_turn(stack, adapter, before, strength) for _ in range(repeats)]
                processor, clock = (min(each) for each in zip(*taken, strict=True))
                switches[f"{name}, from the {place}, {what}"] = {
                    "copies": round(processor / copy, 1),
                    "seconds": round(clock, 3),
                }
    touched = sum(base.transformer.get_parameter(name).nbytes for name in layers)
    return {"touched_gb": round(touched / 1e9, 2), "one_copy_seconds": round(copy, 3), "switches": switches}


def _turn(stack: MergedStack, adapter: Adapter, before: float, strength: float) -> tuple[float, float]:
    stack.apply([(adapter, before)], "merged")
    return _seconds(lambda: stack.apply([(adapter, strength)], "merged"))


def _adapters(folder: Path, model: RandomModel, base: Base) -> Iterator[tuple[str, Adapter]]:
    def read(path: Path) -> Adapter:
        return read_adapter(path, base.adapter_shapes(), NAMINGS["flux2"])

    for rank in (16, 64):
        write_lora(path := folder / f"{rank}.safetensors", model, rank, CPU)
        yield f"LoRA of rank {rank}", read(path)
    write_lokr(path := folder / "lokr.safetensors", model, CPU)
    yield "LoKr", read(path)


def _copy(base: Base, layers: list[str], repeats: int) -> float:
    """Seconds of the processor for one copy of these weights within memory that has been used before."""
    weights = [base.transformer.get_parameter(name) for name in layers]
    copies = [weight.clone() for weight in weights]
    return min(_seconds(lambda: torch._foreach_copy_(copies, weights))[0] for _ in range(2 * repeats))


def _seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """(of the processor, of the clock)"""
    processor, clock = time.process_time(), time.monotonic()
    work()
    return time.process_time() - processor, time.monotonic() - clock


if __name__ == "__main__":
    main()
