"""Says where and with what this process renders, as every record does. Chooses nothing."""

import functools
import resource
import sys

import diffusers
import torch
import transformers

from darkroom import __version__
from darkroom.record import Environment


@functools.cache
def environment_of(device: torch.device) -> Environment:
    """Device, threads and versions of this process."""
    return Environment(
        device=device.type,
        gpu_name=torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        attention_backend="sdpa",  # torch's scaled_dot_product_attention, which diffusers calls natively
        threads=torch.get_num_threads(),
        torch_version=torch.__version__,
        diffusers_version=diffusers.__version__,
        transformers_version=transformers.__version__,
        darkroom_version=__version__,
    )


def reset_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_bytes(device: torch.device) -> int:
    """Peak of the device's memory since the last reset; on a CPU the peak of the process since it began."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
