"""What this machine's arithmetic can be compared with: goldens of a processor that computes alike."""

import hashlib

import torch
from torch.nn.functional import conv2d, group_norm, linear, scaled_dot_product_attention


def canary() -> str:
    """16 hex digits over operations whose rounding differs between processors; equal means goldens are met exactly."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    digest = hashlib.sha256()
    for dtype in (torch.float32, torch.bfloat16):
        for result in _results(dtype):
            digest.update(result.float().contiguous().numpy().tobytes())
    torch.set_num_threads(threads)
    return digest.hexdigest()[:16]


def _results(dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(dtype)

    return (
        linear(draw(528, 96), draw(864, 96)),
        linear(draw(1, 256), draw(96, 256), draw(96)),
        conv2d(draw(1, 32, 48, 40), draw(64, 32, 3, 3), draw(64), padding=1),
        scaled_dot_product_attention(draw(1, 3, 528, 32), draw(1, 3, 528, 32), draw(1, 3, 528, 32)),
        group_norm(draw(1, 64, 24, 24), 32),
        torch.softmax(draw(64, 512), -1),
    )
