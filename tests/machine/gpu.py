"""A GPU for machines without one: torch and we take it for `cuda`, a processor does its sums, its memory is apart.

What a real one raises, or gets wrong without a word, is an error here:

- a tensor in the host's memory among those of a sum on the device, or the other way round;
- a copy to the host that is read before the device has passed a point behind it: until then it is full of 0xFF;
- pinned memory that is written before the device has taken what it was to copy from there;
- attention that no kernel of CUDA takes which is allowed;
- more memory than it has. What one call of torch takes for itself, and fragments, do not count.

As numbers are a processor's, pictures are its pictures bit for bit. What CUDA rounds otherwise, how long it takes, and
streams of one device against each other, this does not show.
"""

import contextlib
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.machine.kernels import allowed_kernels
from tests.machine.memories import (
    GPU,
    HOST,
    META,
    WrongDeviceError,
    asked_of_to,
    counting,
    device_of,
    has_mask,
    new_storages,
    place_of,
    shown,
    tensors_in,
    type_of,
)
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from darkroom.render.device.environment import fixed_kernels

_MEMORY = 80 * 10**9  # bytes
_CAPABILITY = (9, 0)
_READ_BY_THE_HOST = {
    getattr(Tensor, name)
    for name in ("item", "tolist", "equal", "nonzero", "__bool__", "__float__", "__int__", "__index__")
} | {torch.equal, torch.nonzero}
_NO_SUMS = {Tensor.data.__set__, torch._has_compatible_shallow_copy_type, torch._C._nn._parse_to}


class Gpu(TorchFunctionMode):
    """The device, within a `with` block of `installed`; `waits`: what the host waited for, by the call that did."""

    def __init__(self, memory: int) -> None:
        super().__init__()
        self.memory, self.held, self.peak = memory, 0, 0  # bytes
        self.waits: list[str] = []
        self._given = 0  # calls
        self._passed = 0
        self._coming: list[tuple[int, torch.Tensor, torch.Tensor]] = []  # call, where in the host's memory, numbers
        self._taken: list[tuple[int, torch.Tensor, int]] = []  # call, from where in pinned memory, its version then
        self._pinned: dict[int, int] = {}  # address → bytes, as registered
        self._passing = threading.Lock()

    # ---- what torch is asked ----

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in self._answers:
            return self._answers[func](self, *args, **kwargs)
        if func in _NO_SUMS or func.__name__ == "__get__":
            return func(*args, **kwargs)
        if kwargs.get("device") is not None or kwargs.get("pin_memory"):
            return self._made(func, args, **kwargs)
        places = {place_of(each) for each in counting(func, args, kwargs)}
        if len(places) > 1:
            raise WrongDeviceError(f"{func.__name__}: tensors on {', '.join(sorted(places))}: {shown(args, kwargs)}")
        place = next(iter(places), HOST)
        if place == GPU:
            self._given += 1
            if func in _READ_BY_THE_HOST or (func is Tensor.__getitem__ and has_mask(args[1])):
                self._wait(func.__name__)
        with fixed_kernels(torch.device(HOST), torch.bfloat16, "any"):  # as pictures of this processor have them
            made = func(*args, **kwargs)
        if place == GPU:
            self._put(made, besides=(args, kwargs))
        return made

    def _made(self, func: Any, args: Any, *, device: Any = HOST, pin_memory: bool = False, **kwargs: Any) -> Any:
        """What a call makes that names where: fresh memory on a device, or pinned memory of the host."""
        is_meta = type_of(device) == META or any(place_of(each) == META for each in tensors_in(args))
        made = func(*args, **kwargs, device=META if is_meta else HOST)
        if not is_meta:
            made.untyped_storage().is_in_pinned_memory = pin_memory
            if type_of(device) == GPU:
                self._put(made)
        return made

    def _put(self, made: Any, besides: Any = ()) -> None:
        """What a call has made lies on the GPU, but for what it was given."""
        for storage in new_storages(made, besides):
            if not getattr(storage, "is_on_gpu", False):
                self._hold(storage.nbytes())
                storage.is_on_gpu = True
                weakref.finalize(storage, self._let_go, storage.nbytes())

    def _hold(self, size: int) -> None:
        if self.held + size > self.memory:
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size} bytes.")
        self.held += size
        self.peak = max(self.peak, self.held)

    def _let_go(self, size: int) -> None:
        self.held -= size

    def _to(self, tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        source, (target, changes) = place_of(tensor), asked_of_to(*args, **kwargs)
        target = target or source
        if META in (source, target):
            return tensor.to(target, **changes)
        made = tensor.to(HOST, **changes)
        if target == source:
            if target == GPU:
                self._put(made, besides=tensor)
            return made
        arrived = torch.empty_like(made)
        if target == GPU:
            self._put(arrived)
        self._transfer(arrived, made, changes.get("non_blocking", False), "to")
        return arrived

    def _copy(self, target: torch.Tensor, source: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
        if {place_of(target), place_of(source)} == {HOST, GPU}:
            self._transfer(target, source, non_blocking, "copy_")
            return target
        return target.copy_(source)

    def _transfer(self, target: torch.Tensor, source: torch.Tensor, is_async: bool, name: str) -> None:
        """Numbers over PCIe; where the host does not wait, they come and are taken when it next does."""
        self._given += 1
        if not is_async or (place_of(target) == GPU and not self._is_pinned(source)):
            self._wait(name)
            target.copy_(source)
        elif place_of(target) == GPU:
            target.copy_(source)
            self._taken.append((self._given, source, source._version))
        else:
            self._coming.append((self._given, target, source.clone()))
            target.untyped_storage().fill_(0xFF)

    def _attention(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        mask = kwargs.get("attn_mask", args[0] if args else None)
        places = {place_of(each) for each in (query, key, value, mask) if each is not None}
        if places != {GPU}:
            if len(places) > 1:
                raise WrongDeviceError(f"attention: tensors on {', '.join(sorted(places))}")
            return scaled_dot_product_attention(query, key, value, *args, **kwargs)
        if not any(takes(query, mask, kwargs.get("enable_gqa", False)) for takes in allowed_kernels()):
            raise WrongDeviceError(
                f"attention: no kernel that is allowed takes {query.dtype} with heads of {query.shape[-1]}, "
                f"{'a' if mask is not None else 'no'} mask, grouped heads: {kwargs.get('enable_gqa', False)}"
            )
        self._given += 1
        with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):  # a processor's
            made = scaled_dot_product_attention(query, key, value, *args, **kwargs)
        self._put(made)
        return made

    def _numpy(self, tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if place_of(tensor) == GPU:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return tensor.numpy(*args, **kwargs)

    def _pin(self, tensor: torch.Tensor) -> torch.Tensor:
        if place_of(tensor) == GPU:
            raise RuntimeError("cannot pin: only dense CPU tensors can be pinned")
        made = tensor.clone()
        made.untyped_storage().is_in_pinned_memory = True
        return made

    def _is_pinned(self, tensor: torch.Tensor) -> bool:
        if getattr(tensor.untyped_storage(), "is_in_pinned_memory", False):
            return True
        address = tensor.data_ptr()
        return any(start <= address < start + size for start, size in self._pinned.items())

    _answers: Mapping[Any, Callable[..., Any]] = {
        Tensor.device.__get__: lambda self, tensor: device_of(tensor),
        Tensor.is_cuda.__get__: lambda self, tensor: place_of(tensor) == GPU,
        Tensor.is_cpu.__get__: lambda self, tensor: place_of(tensor) == HOST,
        Tensor.is_pinned: lambda self, tensor: place_of(tensor) == HOST and self._is_pinned(tensor),
        Tensor.record_stream: lambda self, tensor, stream: None,
        Tensor.to: _to,
        Tensor.cpu: lambda self, tensor, **kwargs: self._to(tensor, HOST, **kwargs),
        Tensor.cuda: lambda self, tensor, **kwargs: self._to(tensor, GPU, **kwargs),
        Tensor.copy_: _copy,
        Tensor.numpy: _numpy,
        Tensor.pin_memory: _pin,
        scaled_dot_product_attention: _attention,
    }

    # ---- its order ----

    def _wait(self, name: str) -> None:
        self.waits.append(name)
        self.pass_(self._given)

    def pass_(self, number: int) -> None:
        """Have done what was given up to this call; in any thread."""
        with self._passing:
            self._passed = max(self._passed, number)
            for source, version in _due(self._taken, number):
                if source._version != version:
                    raise WrongDeviceError(f"pinned memory of {tuple(source.shape)} was written before it was taken")
            for target, values in _due(self._coming, number):
                target.copy_(values)

    def synchronize(self, *args: Any) -> None:
        self._wait("synchronize")

    def register(self, address: int, size: int, flags: int) -> int:
        taken = any(start < address + size and address < start + length for start, length in self._pinned.items())
        if taken:
            raise WrongDeviceError("a page is registered twice")
        self._pinned[address] = size
        return 0

    def unregister(self, address: int) -> int:
        size = self._pinned.pop(address)
        if any(address <= source.data_ptr() < address + size for _, source, _ in self._taken):
            raise WrongDeviceError("pinned memory is given back before the device has taken what it was to")
        return 0


def _due(waiting: list[tuple[int, Any, Any]], number: int) -> list[tuple[Any, Any]]:
    """What was given up to this call, which waits no more."""
    due = [(what, then) for given, what, then in waiting if given <= number]
    waiting[:] = [each for each in waiting if each[0] > number]
    return due


class _Event:
    _gpu: Gpu  # of the subclass that `installed` makes

    def __init__(self, enable_timing: bool = False, blocking: bool = False) -> None:
        pass

    def record(self, *args: Any) -> None:
        self.number, self.at = self._gpu._given, time.monotonic()

    def synchronize(self) -> None:
        self._gpu.pass_(self.number)

    def elapsed_time(self, later: "_Event") -> float:
        if max(self.number, later.number) > self._gpu._passed:
            raise WrongDeviceError("a clock is read before the device has passed it")
        return 1000 * (later.at - self.at)


class _Stream:
    _gpu: Gpu

    def synchronize(self) -> None:
        self._gpu.synchronize()


class _Generator(torch.Generator):
    """Of either place; a GPU draws other numbers from the same seed."""

    place: torch.device

    def __new__(cls, device: Any = HOST) -> "_Generator":
        made: _Generator = super().__new__(cls, HOST)
        made.place = torch.device(device)
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.place

    def manual_seed(self, seed: int) -> "_Generator":
        super().manual_seed(seed + (self.place.type == GPU))
        return self


@contextlib.contextmanager
def installed(memory: int = _MEMORY) -> Iterator[Gpu]:
    """A machine with one such GPU of so many bytes, in this thread."""
    gpu = Gpu(memory)
    event, stream = (type(each.__name__, (each,), {"_gpu": gpu}) for each in (_Event, _Stream))
    cudart = SimpleNamespace(cudaHostRegister=gpu.register, cudaHostUnregister=gpu.unregister)
    functions: dict[str, Any] = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_name": lambda device=None: "a stand-in",
        "get_device_capability": lambda device=None: _CAPABILITY,
        "mem_get_info": lambda device=None: (gpu.memory - gpu.held, gpu.memory),
        "memory_reserved": lambda device=None: gpu.held,
        "memory_allocated": lambda device=None: gpu.held,
        "max_memory_allocated": lambda device=None: gpu.peak,
        "reset_peak_memory_stats": lambda device=None: setattr(gpu, "peak", gpu.held),
        "empty_cache": lambda: None,
        "synchronize": gpu.synchronize,
        "Event": event,
        "Stream": stream,
        "current_stream": lambda device=None: stream(),
        "stream": lambda stream: contextlib.nullcontext(),
        "cudart": lambda: cudart,
        "check_error": lambda code: None,
    }
    with pytest.MonkeyPatch.context() as torchs, gpu:
        for name, function in functions.items():
            torchs.setattr(torch.cuda, name, function)
        torchs.setattr(torch, "Generator", _Generator)
        yield gpu
        gc.collect()  # what gives pinned memory back when it goes does so while there is a device
