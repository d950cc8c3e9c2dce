"""What float32's products gain where a processor has no bfloat16: seconds of torch's own ÷ ours, layer by layer.

ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python benchmarks/products.py    # a processor held to AVX2
"""

import time
from collections.abc import Callable
from functools import partial

import torch

from darkroom.render.device.products import Float32Products, has_bfloat16_products

LAYERS: dict[str, tuple[torch.nn.Module, tuple[int, ...]]] = {
    "linear, 512 tokens, 3072 -> 3072": (torch.nn.Linear(3072, 3072), (512, 3072)),
    "linear, 96 tokens, 256 -> 768": (torch.nn.Linear(256, 768), (96, 256)),
    "convolution 3 x 3, 64 -> 64 channels, 64 x 64": (torch.nn.Conv2d(64, 64, 3, padding=1), (1, 64, 64, 64)),
}


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    has = "has" if has_bfloat16_products() else "has no"
    print(f"{torch.backends.cpu.get_cpu_capability()}: oneDNN {has} products of bfloat16 here")
    for name, (layer, shape) in LAYERS.items():
        product = partial(layer.bfloat16(), torch.randn(shape).bfloat16())
        by_torch = seconds(product)
        with Float32Products():
            by_us = seconds(product)
        print(f"{name:46} torch {by_torch * 1e3:8.2f} ms, float32 {by_us * 1e3:8.2f} ms: {by_torch / by_us:6.1f} times")


def seconds(work: Callable[[], object], rounds: int = 3) -> float:
    """The quickest of some rounds."""
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return min(taken)


if __name__ == "__main__":
    main()
