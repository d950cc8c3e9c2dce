"""Pinned (page-locked) host memory, from which a GPU copies several times as fast, while it computes.

Registered with CUDA at its own size: torch's allocator of pinned memory takes the next power of two for each tensor,
and gives none of it back.
"""

import weakref
from collections.abc import Callable

import torch

_PAGE = 4096  # bytes; what is registered are whole pages, and no page twice

_Register = Callable[[int, int], None]  # address, bytes
_Unregister = Callable[[int], None]  # address


def _register(address: int, size: int) -> None:
    torch.cuda.check_error(torch.cuda.cudart().cudaHostRegister(address, size, 0))  # type: ignore[no-untyped-call]


def _unregister(address: int) -> None:
    torch.cuda.synchronize()  # the device may have yet to come to a copy from there
    torch.cuda.check_error(torch.cuda.cudart().cudaHostUnregister(address))  # type: ignore[no-untyped-call]


class PinnedMemory:
    """Tensors in pinned memory, which are let go together: at `release`, or with this object."""

    def __init__(self, register: _Register = _register, unregister: _Unregister = _unregister) -> None:
        self._register, self._unregister = register, unregister
        self._pages: list[torch.Tensor] = []
        weakref.finalize(self, _let_go, self._pages, unregister)

    def copy_of(self, tensor: torch.Tensor) -> torch.Tensor:
        """The same numbers, contiguous, in memory that is pinned from now on."""
        size = -(-tensor.nbytes // _PAGE) * _PAGE
        memory = torch.empty(size + _PAGE, dtype=torch.uint8)
        start = -memory.data_ptr() % _PAGE
        pages = memory[start : start + size]
        self._register(pages.data_ptr(), size)
        self._pages.append(pages)
        return pages[: tensor.nbytes].view(tensor.dtype).view(tensor.shape).copy_(tensor)

    def release(self) -> None:
        """Give all of it back; its tensors must not be in use any more."""
        _let_go(self._pages, self._unregister)


def _let_go(pages: list[torch.Tensor], unregister: _Unregister) -> None:
    while pages:
        unregister(pages[-1].data_ptr())
        pages.pop()
