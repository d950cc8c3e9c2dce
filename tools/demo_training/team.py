"""Several processes that train one model together, one for each core. Knows no model.

On a CPU this is far quicker than as many threads: the model's operations are too small to be shared out.
"""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import distributed, nn


def join(rank: int, size: int, meeting_place: Path) -> None:
    """Become member `rank` of `size`. `meeting_place`: a file that is not there yet."""
    distributed.init_process_group("gloo", f"file://{meeting_place.resolve()}", rank=rank, world_size=size)


def rank() -> int:
    """This process's number; 0, which writes the files, also where it works alone."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def suffix() -> str:
    """What makes this member's random numbers its own, nothing for the first."""
    return f" of member {rank()}" if rank() else ""


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by the members' mean."""
    if not distributed.is_initialized():
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    together = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(together)
    together /= distributed.get_world_size()
    for gradient, mean in zip(gradients, together.split([each.numel() for each in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))
