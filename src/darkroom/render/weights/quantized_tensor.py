"""A quantised weight: kept as a few smaller tensors, and read as one tensor of the original dtype and shape."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from torch.utils._pytree import tree_leaves, tree_map_only

_Change = Callable[[torch.Tensor], torch.Tensor]


class QuantizedTensor(torch.Tensor):
    """Kinds say what they are made of, which numbers that stands for, and how a linear layer multiplies by them."""

    parts: tuple[str, ...]  # names of what it is made of
    scale: torch.Tensor  # has the dtype of the whole

    @staticmethod
    def __new__(cls, shape: torch.Size, **parts: torch.Tensor) -> Self:
        scale = parts["scale"]
        made: Self = torch.Tensor._make_wrapper_subclass(cls, shape, dtype=scale.dtype, device=scale.device)
        vars(made).update(parts)
        return made

    def dequantised(self) -> torch.Tensor:
        """The numbers that it stands for, (rows, columns)."""
        raise NotImplementedError

    def linear(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """What a linear layer with this weight makes of x, (…, columns) → (…, rows)."""
        raise NotImplementedError

    def changed(self, change: _Change) -> Self:
        """The same of changed parts: copies of them elsewhere, say."""
        return type(self)(self.shape, **{name: change(getattr(self, name)) for name in self.parts})

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return list(self.parts), None

    @classmethod
    def __tensor_unflatten__(cls, parts: dict[str, torch.Tensor], meta: None, size: Any, stride: Any) -> Self:
        return cls(size, **parts)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.nn.functional.linear:  # as one operation, which rounds otherwise than its parts
            return _linear(*args, **(kwargs or {}))
        with torch._C.DisableTorchFunctionSubclass():  # what comes out is no weight
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        if func is torch.ops.aten.detach.default:
            return args[0].changed(torch.Tensor.detach)
        if any(isinstance(each, QuantizedTensor) for each in tree_leaves(_changed_in_place(func, args, kwargs or {}))):
            raise RuntimeError(f"{func}: a quantised weight is not changed in place; quantise the new numbers instead")
        plain = tree_map_only(QuantizedTensor, lambda weight: weight.dequantised(), (args, kwargs or {}))
        return func(*plain[0], **plain[1])


def _changed_in_place(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """The arguments that an operation writes into."""
    given = dict(zip((each.name for each in func._schema.arguments), args, strict=False)) | dict(kwargs)
    written = (each.name for each in func._schema.arguments if each.alias_info and each.alias_info.is_write)
    return [given[name] for name in written if name in given]


def _linear(input: torch.Tensor, weight: QuantizedTensor, bias: torch.Tensor | None = None) -> torch.Tensor:  # noqa: A002
    return weight.linear(input, bias)


class ScaledRows(QuantizedTensor):
    """`rounded` (rows, columns), of 8 bits a number, times `scale` (rows, 1)."""

    parts = ("rounded", "scale")
    rounded: torch.Tensor

    def dequantised(self) -> torch.Tensor:
        if self.rounded.is_floating_point():
            return self.rounded.to(self.scale.dtype).mul_(self.scale)  # torch promotes no float8
        return self.rounded * self.scale
