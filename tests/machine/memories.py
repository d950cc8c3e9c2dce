"""In which memory a tensor lies, the host's or the stand-in GPU's (gpu.py): marks on storages, which views share."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

HOST, GPU, META = "cpu", "cuda", "meta"
_INDEXING = {Tensor.__getitem__, Tensor.__setitem__}


class WrongDeviceError(AssertionError):
    """What a GPU would raise or, worse, compute with."""


def place_of(tensor: torch.Tensor) -> str:
    """cpu | cuda | meta; WrongDeviceError for a weight made of several tensors that are not together."""
    if parts := _parts(tensor):
        places = {place_of(part) for part in parts}
        if len(places) > 1:
            raise WrongDeviceError(f"{type(tensor).__name__}: its parts are on {', '.join(sorted(places))}")
        return places.pop()
    if tensor.is_meta:
        return META
    return GPU if getattr(tensor.untyped_storage(), "is_on_gpu", False) else HOST


def device_of(tensor: torch.Tensor) -> torch.device:
    place = place_of(tensor)
    return torch.device(GPU, 0) if place == GPU else torch.device(place)


def _parts(tensor: torch.Tensor) -> list[torch.Tensor]:
    flatten = getattr(type(tensor), "__tensor_flatten__", None)
    return [getattr(tensor, name) for name in flatten(tensor)[0]] if flatten else []


def new_storages(made: Any, besides: Any) -> list[torch.UntypedStorage]:
    """Of what a call has made, but for those of what it was given."""
    own = {id(each.untyped_storage()) for each in _plain(besides)}
    storages = [tensor.untyped_storage() for tensor in _plain(made) if not tensor.is_meta]
    return [storage for storage in storages if id(storage) not in own]


def _plain(values: Any) -> Iterator[torch.Tensor]:
    for tensor in tensors_in(values):
        yield from _plain(_parts(tensor)) if _parts(tensor) else (tensor,)


def tensors_in(values: Any) -> Iterator[torch.Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        for each in values:
            yield from tensors_in(each)
    elif isinstance(values, dict):
        yield from tensors_in(list(values.values()))


def counting(func: Any, args: Any, kwargs: Any) -> Iterable[torch.Tensor]:
    """The tensors that have to be together: beside ones on the GPU the host's may be single numbers, and indices."""
    tensors = list(tensors_in((args[0] if func in _INDEXING else args, kwargs)))
    if any(place_of(each) == GPU for each in tensors):
        return [each for each in tensors if each.ndim or place_of(each) == GPU]
    return tensors


def has_mask(index: Any) -> bool:
    """True for an index whose result has a size that only the device knows."""
    return any(each.dtype == torch.bool for each in tensors_in(index))


def asked_of_to(*args: Any, **kwargs: Any) -> tuple[str | None, dict[str, Any]]:
    """Where to, if it says so, and the other arguments by name."""
    first = args[0] if args else None
    heads = {torch.dtype: ("dtype",), Tensor: ("other",)}
    head = next((names for kind, names in heads.items() if isinstance(first, kind)), ("device", "dtype"))
    asked = dict(zip((*head, "non_blocking", "copy"), args, strict=False)) | kwargs
    if (other := asked.pop("other", None)) is not None:
        asked |= {"device": place_of(other), "dtype": other.dtype}
    device = asked.pop("device", None)
    given = {name: value for name, value in asked.items() if value is not None}
    return None if device is None else type_of(device), given


def type_of(device: Any) -> str:
    return torch.device(device).type


def shown(args: Any, kwargs: Any) -> str:
    return ", ".join(f"{tuple(each.shape)} on {place_of(each)}" for each in tensors_in((args, kwargs)))
