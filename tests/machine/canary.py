"""What this machine's arithmetic can be compared with: goldens of a processor that computes alike."""

import hashlib
from collections.abc import Iterable

import torch
from torch.nn.functional import conv2d, group_norm, linear, scaled_dot_product_attention

# The canaries of goldens cover sums of up to 256 products. Longer ones are cut into blocks, which AVX-512 with and
# without its BF16 instructions does otherwise; so, for a canary of theirs, the digest of longer ones where it is known.
_LONG_SUMS = {"b003c85269dbccdc": "0f362f11"}


def canary() -> str:
    """16 hex digits over operations whose rounding differs between processors; equal means goldens are met exactly.

    With + and eight more where long sums are not those of the processor that otherwise rounds alike.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    short = _digest(result for dtype in (torch.float32, torch.bfloat16) for result in _results(dtype))[:16]
    long = _digest(_long_sums())[:8]
    torch.set_num_threads(threads)
    return short if _LONG_SUMS.get(short, long) == long else f"{short}+{long}"


def _digest(results: Iterable[torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for result in results:
        digest.update(result.float().contiguous().numpy().tobytes())
    return digest.hexdigest()


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


def _long_sums() -> Iterable[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    for terms in (384, 512, 768, 1024, 1536):
        left, right = (torch.randn(rows, terms, generator=generator).bfloat16() for rows in (100, 256))
        yield linear(left, right)
