"""Products of bfloat16 on a processor that has no instructions for them: summed in float32, rounded once.

So do the processors that have them. Without, torch takes one number after the other: a convolution of the VAE takes
400 times as long, a linear layer 2 to 5 times (`benchmarks/products.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_PRODUCTS: frozenset[Callable[..., Any]] = frozenset(
    (
        torch.nn.functional.linear,
        torch.nn.functional.conv2d,
        torch.matmul,
        torch.Tensor.matmul,
        torch.Tensor.__matmul__,
        torch.bmm,
    )
)


def has_bfloat16_products() -> bool:
    """True where oneDNN has kernels for them: on x86 from AVX-512 on, which many desktops have not; on newer Arms."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class Float32Products(TorchFunctionMode):
    """Within, layers and products of matrices that are given bfloat16 compute in float32 and give bfloat16."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if func not in _PRODUCTS or next(iter((*args, *named.values()))).dtype != torch.bfloat16:
            return func(*args, **named)
        if computing := [kind for kind in types if kind not in (torch.Tensor, torch.nn.Parameter)]:
            with self:  # a quantised weight, which multiplies by itself: its products are within as well
                return computing[0].__torch_function__(func, types, args, named)
        widened = (_widened(value) for value in args)
        return func(*widened, **{name: _widened(value) for name, value in named.items()}).bfloat16()


def _widened(value: Any) -> Any:
    return value.float() if isinstance(value, torch.Tensor) else value
