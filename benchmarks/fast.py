"""What each option of `numerics: fast` saves: a guided step of FLUX.2 at its real sizes, one block of each kind.

    python benchmarks/fast.py                  klein-4B, 128x128 pixels, 512 tokens: 5 GB of memory, a few minutes
    python benchmarks/fast.py --side 256 --repeats 10

On one CPU thread, with random weights. Prints one JSON object: processor time as medians of ratios within a
round, which other programs disturb little, and how far each result lies from the exact one. On a GPU: gpu.py.
"""

import argparse
import copy
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "src")]

import torch  # noqa: E402  (after the path, so that a checkout needs no installation)

from darkroom.render.device.compiled import compile_blocks  # noqa: E402
from darkroom.render.families.flux2.exact import make_transformer_exact  # noqa: E402
from darkroom.render.families.flux2.flux2 import _ids, _text_ids  # noqa: E402
from darkroom.render.families.flux2.real_sizes import MODELS, transformer  # noqa: E402

CPU, DTYPE, TEXT = torch.device("cpu"), torch.bfloat16, 512
Step = Callable[[], torch.Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="flux2_klein_4b", choices=sorted(MODELS))
    parser.add_argument("--side", type=int, default=128, help="of the picture, in pixels, a multiple of 16")
    parser.add_argument("--repeats", type=int, default=6, help="rounds, in each of which every option has its turn")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        print(json.dumps(_measured(_steps(options.model, options.side // 16), options.repeats), indent=1))


def _steps(name: str, rows: int) -> dict[str, Step]:
    """By option: one step of guidance on a picture of `rows` x `rows` tokens, the result (2, tokens, channels)."""
    plain = _random_transformer(name)
    exact, fused, compiled = (copy.deepcopy(plain) for _ in range(3))
    make_transformer_exact(exact)
    fused.fuse_qkv_projections()
    compiled_fused = copy.deepcopy(fused)
    compile_blocks(compiled)
    compile_blocks(compiled_fused)
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(1, rows * rows, plain.config.in_channels, generator=generator).to(DTYPE)
    texts = torch.randn(2, TEXT, plain.config.joint_attention_dim, generator=generator).to(DTYPE)
    places, text_places = _ids(rows, rows, CPU), _text_ids(TEXT, CPU)

    def passed(model: torch.nn.Module, latents: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        times = torch.full((len(latents),), 0.7, dtype=DTYPE)
        given = {"hidden_states": latents, "timestep": times, "guidance": None, "encoder_hidden_states": text}
        result: torch.Tensor = model(**given, img_ids=places, txt_ids=text_places, return_dict=False)[0]
        return result

    def in_two(model: torch.nn.Module) -> Step:
        return lambda: torch.cat([passed(model, noise, text[None]) for text in texts])

    def in_one(model: torch.nn.Module) -> Step:
        return lambda: passed(model, noise.expand(2, -1, -1), texts)

    return {
        "exact": in_two(exact),
        "fast": in_two(plain),
        "batched_guidance": in_one(plain),
        "compiled_blocks": in_two(compiled),
        "compiled_blocks, batched_guidance": in_one(compiled),
        "fused projections": in_two(fused),
        "compiled_blocks, fused projections": in_two(compiled_fused),
    }


def _random_transformer(name: str) -> torch.nn.Module:
    model = transformer(replace(MODELS[name], double_blocks=1, single_blocks=1)).to_empty(device=CPU).to(DTYPE)
    generator = torch.Generator().manual_seed(0)
    for key, tensor in model.named_parameters():
        if tensor.ndim < 2:
            tensor.data.fill_(1.0 if key.endswith("weight") else 0.0)
        else:
            tensor.data.copy_(torch.randn(tensor.shape, generator=generator) * tensor.shape[1] ** -0.5)
    return model.requires_grad_(False).eval()


def _measured(steps: dict[str, Step], repeats: int) -> dict[str, dict[str, float]]:
    results, first = {}, {}
    for name, step in steps.items():  # compiles what is to be compiled
        started = time.process_time()
        results[name] = step().float()
        first[name] = time.process_time() - started
    rounds = [{name: _seconds(step) for name, step in steps.items()} for _ in range(repeats)]
    exact = results["exact"]
    return {
        name: {
            "to_exact": round(statistics.median(each[name] / each["exact"] for each in rounds), 3),
            "to_fast": round(statistics.median(each[name] / each["fast"] for each in rounds), 3),
            "first_seconds": round(first[name], 1),
            "distance": round(float((results[name] - exact).norm() / exact.norm()), 4),
        }
        for name in steps
    }


def _seconds(step: Step) -> float:
    """Of the processor."""
    started = time.process_time()
    step()
    return time.process_time() - started


if __name__ == "__main__":
    main()
