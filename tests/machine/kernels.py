"""Which of CUDA's attention kernels take a call, as torch's sdp_utils.cpp has it."""

from collections.abc import Callable

import torch

Takes = Callable[[torch.Tensor, torch.Tensor | None, bool], bool]


def _flash(query: torch.Tensor, mask: torch.Tensor | None, is_grouped: bool) -> bool:
    return query.dtype in (torch.bfloat16, torch.float16) and mask is None and query.shape[-1] <= 256


def _efficient(query: torch.Tensor, mask: torch.Tensor | None, is_grouped: bool) -> bool:
    return not is_grouped


def allowed_kernels() -> list[Takes]:
    """Those that torch may choose from at present."""
    allowed = torch.backends.cuda
    kernels: list[tuple[bool, Takes]] = [
        (allowed.flash_sdp_enabled(), _flash),
        (allowed.mem_efficient_sdp_enabled(), _efficient),
        (allowed.math_sdp_enabled(), lambda query, mask, is_grouped: True),
    ]
    return [takes for is_allowed, takes in kernels if is_allowed]
