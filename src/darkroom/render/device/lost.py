"""A GPU that has failed under this process, told from every other error of torch.

A failed kernel is heard of at whatever torch does next, at another picture or at none: what was on the device is lost
with it, and the process cannot use the device again.
"""

import contextlib
from collections.abc import Iterator

import torch

from darkroom.errors import DeviceLostError

_LOST = ("CUDA error", "CUDA driver error", "cuDNN error")
_OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


@contextlib.contextmanager
def telling_of_loss() -> Iterator[None]:
    """DeviceLostError in place of what torch raises within once the GPU has failed."""
    try:
        yield
    except RuntimeError as error:
        if not is_lost(error):
            raise
        raise DeviceLostError(f"the GPU failed: {first_line(error)}") from error


def is_lost(error: BaseException) -> bool:
    """True for what says that the device can no longer be used; lack of memory does not."""
    if ran_out_of_memory(error) or not isinstance(error, RuntimeError):
        return False
    return isinstance(error, torch.AcceleratorError) or any(text in str(error) for text in _LOST)


def ran_out_of_memory(error: BaseException) -> bool:
    """True for torch's, numpy's and Python's ways of saying so, on a CPU and on a GPU."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)
    )


def first_line(error: BaseException) -> str:
    """What a library says before it begins to advise."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
