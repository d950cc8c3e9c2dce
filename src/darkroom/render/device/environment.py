"""Says where and with what this process renders, as every record does, and fixes what torch would choose by itself.

Knows no model. On a CPU torch's attention has one kernel and nothing is fixed.
"""

import contextlib
import functools
import hashlib
import os
import platform
import re
import resource
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import diffusers
import psutil
import torch
import transformers
from torch.nn.attention import SDPBackend, sdpa_kernel

from darkroom import __version__
from darkroom.machine.allotment.memory import memory
from darkroom.record.circumstances import Environment
from darkroom.render.device.mode import Budget
from darkroom.render.device.products import Float32Products, has_bfloat16_products

_CPUINFO, _DRIVER = Path("/proc/cpuinfo"), Path("/proc/driver/nvidia/version")
_KIND = ("cpu family", "model", "model name", "flags", "CPU implementer", "CPU part", "Features")  # of x86, of Arm
_FLASH_SINCE = (8, 0)  # compute capability (Ampere)


def environment_of(device: torch.device, dtype: torch.dtype) -> Environment:
    """Device, attention for models of this dtype, threads and versions of this process."""
    return replace(_machine(device, dtype), threads=torch.get_num_threads())  # a sheet of trials may set their number


@functools.cache
def _machine(device: torch.device, dtype: torch.dtype) -> Environment:
    here = Environment(
        device=device.type,
        gpu_name=None,
        attention_backend=_attention_name(device, dtype),
        threads=torch.get_num_threads(),
        torch_version=torch.__version__,
        diffusers_version=diffusers.__version__,
        transformers_version=transformers.__version__,
        darkroom_version=__version__,
        processor=_processor(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        onednn_max_cpu_isa=os.environ.get("ONEDNN_MAX_CPU_ISA"),
    )
    return here if device.type == "cpu" else _with_gpu(here, device)


def _with_gpu(here: Environment, device: torch.device) -> Environment:
    return replace(
        here,
        gpu_name=torch.cuda.get_device_name(device),
        gpu_capability=".".join(map(str, torch.cuda.get_device_capability(device))),
        driver_version=_driver_version(),
        cuda_version=torch.version.cuda,
        cudnn_version=str(torch.backends.cudnn.version()),  # type: ignore[no-untyped-call]
    )


def _processor() -> str | None:
    """As Linux names it; of an Arm, which has no name there, its architecture."""
    named = re.search(r"^model name\s*:\s*(.+)$", _read(_CPUINFO), re.MULTILINE)
    return named[1].strip() if named else platform.machine() or None


def processor_digest(cpuinfo: Path = _CPUINFO) -> str:
    """Eight digits for the kind of this processor and all that it can do: other ones may not run what it runs."""
    lines = re.findall(rf"^(?:{'|'.join(_KIND)})\s*:.*$", _read(cpuinfo), re.MULTILINE)
    kinds = sorted(set(lines)) or [platform.machine(), platform.processor()]  # each core has lines of its own
    return hashlib.sha256("\n".join(kinds).encode()).hexdigest()[:8]


def _driver_version() -> str | None:
    """NVIDIA's, as its kernel module says it."""
    said = re.search(r"Kernel Module\D*([\d.]+)", _read(_DRIVER))
    return said[1] if said else None


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def fix_threads() -> None:
    """One thread within an operation, as records say, on every machine and whatever has started this process.

    Snakemake tells its jobs a number, but a worker serves many. Trials set that of the picture they are about.
    """
    torch.set_num_threads(1)


def fix_arithmetic(device: torch.device) -> None:
    """No TF32, and convolutions by a fixed rule: cuDNN neither tries algorithms out nor takes one that varies."""
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True


@contextlib.contextmanager
def fixed_kernels(device: torch.device, dtype: torch.dtype, part: str) -> Iterator[None]:
    """Have attentions and products of `part` (transformer | vae | text_encoder | clip) within computed by one kernel.

    On a CPU attention has no other, and products have float32's where the processor has no bfloat16.
    """
    if device.type == "cuda":
        with sdpa_kernel(attention_kernels(part, dtype, torch.cuda.get_device_capability(device))):
            yield
    elif has_bfloat16_products():
        yield
    else:
        with Float32Products():
            yield


def attention_kernels(part: str, dtype: torch.dtype, capability: tuple[int, int]) -> list[SDPBackend]:
    """The kernels that are allowed, of which a call's own shape leaves one: no choice is up to torch.

    Flash attention where it can be: 16-bit, no mask, heads of at most 256; the memory-efficient kernel for the VAE,
    whose one head has 512, and wherever padding is masked (in Z-Image's transformer too, where two texts have other
    lengths) or, as in T5, scores are added to. A prompt that fills its length has no mask, and grouped heads that the
    efficient kernel cannot take. Cards before Ampere have bfloat16 in neither.
    """
    if dtype == torch.bfloat16 and capability < _FLASH_SINCE:
        return [SDPBackend.MATH]
    if part == "text_encoder":
        unmasked = SDPBackend.FLASH_ATTENTION if dtype == torch.bfloat16 else SDPBackend.MATH
        return [SDPBackend.EFFICIENT_ATTENTION, unmasked]
    if part == "transformer" and dtype == torch.bfloat16:
        return [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
    if part == "clip" and dtype == torch.bfloat16:
        return [SDPBackend.FLASH_ATTENTION]
    return [SDPBackend.EFFICIENT_ATTENTION]


def memory_budget(device: torch.device) -> Budget:
    """The memory there is now. What torch holds without using it counts as free."""
    host = memory()
    if device.type != "cuda":
        return Budget(device.type, host.free, host.total, host.free, host.limit)
    free, total = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return Budget(device.type, free + unused, total, host.free, host.limit)


def reset_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_bytes(device: torch.device) -> int:
    """Peak of the device's memory since the last reset; on a CPU the peak of the process since it began."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def memory_in_use(device: torch.device) -> int:
    """Of the device's, by this process, in bytes."""
    return torch.cuda.memory_reserved(device) if device.type == "cuda" else psutil.Process().memory_info().rss


def _attention_name(device: torch.device, dtype: torch.dtype) -> str:
    if device.type != "cuda":
        return "sdpa"  # torch's scaled_dot_product_attention, which diffusers calls
    capability = torch.cuda.get_device_capability(device)
    parts = [
        f"{part}: {attention_kernels(part, dtype, capability)[0].name.removesuffix('_ATTENTION').lower()}"
        for part in ("transformer", "vae")
    ]
    return f"sdpa ({', '.join(parts)})"
