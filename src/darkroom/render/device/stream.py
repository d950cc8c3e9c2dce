"""A device's stream of work: events in it, and copies to and from the host that run beside it.

A GPU works through what it was given while the host goes on. Whatever waits for it in between leaves it idle: a copy
from or to memory that is not pinned, `.item()`, a clock that has to be right. So a tensor that comes over may be read
only once an event behind it has passed, and a clock is read then.
"""

import time
from typing import Protocol, Self

import torch


class Event(Protocol):
    """A point in the order of a device's work."""

    def wait(self) -> None:
        """Return once the work before it is done. May be called in any thread."""

    def seconds_since(self, earlier: Self) -> float:
        """The time between two points that have passed, as the device took it."""


class Stream(Protocol):
    """All work of one device, in the order in which it was given."""

    def point(self) -> Event:
        """Behind all that was given so far."""

    def to_host(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy in the host's memory, which holds its values once a point made after this call has passed."""


class _HostPoint:
    def __init__(self) -> None:
        self._at = time.monotonic()

    def wait(self) -> None:
        """Work on the host is done when it was given."""

    def seconds_since(self, earlier: "_HostPoint") -> float:
        return self._at - earlier._at


class HostStream:
    """Of a CPU."""

    def point(self) -> Event:
        return _HostPoint()

    def to_host(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor


class _CudaPoint:
    def __init__(self) -> None:
        self._event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._event.record()

    def wait(self) -> None:
        self._event.synchronize()

    def seconds_since(self, earlier: "_CudaPoint") -> float:
        milliseconds: float = earlier._event.elapsed_time(self._event)
        return milliseconds / 1000


class CudaStream:
    """Of a GPU: torch's current stream, on which the families compute."""

    def point(self) -> Event:
        return _CudaPoint()

    def to_host(self, tensor: torch.Tensor) -> torch.Tensor:
        # torch keeps pinned memory, and gives it to nobody else before a copy into it is done.
        return torch.empty_like(tensor, device="cpu", pin_memory=True).copy_(tensor, non_blocking=True)


def stream_of(device: torch.device) -> Stream:
    return CudaStream() if device.type == "cuda" else HostStream()


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`tensor` for the work that is given next: a GPU fetches it when it comes to that, and the host goes on."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = torch.empty_like(tensor, pin_memory=True).copy_(tensor)
    return tensor.to(device, non_blocking=True)
