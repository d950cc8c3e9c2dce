"""Measures what a computation holds in memory at its peak, on any device, the meta device included."""

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from darkroom.render.adapters.live import adding, lora_branch

META = torch.device("meta")


class Meter(TorchDispatchMode):
    """Sums the bytes of every tensor that operations within make, as long as it lives. `given` ones do not count."""

    def __init__(self, given: Iterable[torch.Tensor] = ()) -> None:
        super().__init__()
        self.peak = self._live = 0
        self._known = {tensor.untyped_storage()._cdata for tensor in given}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata not in self._known:
            self._known.add(storage._cdata)
            self._live += storage.nbytes()
            self.peak = max(self.peak, self._live)
            weakref.finalize(storage, self._forget, storage._cdata, storage.nbytes())

    def _forget(self, storage: int, size: int) -> None:
        self._known.discard(storage)
        self._live -= size


class FusedAttention(TorchFunctionMode):
    """What flash and memory-efficient attention take: their output, and no matrix of all pairs of tokens."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.nn.functional.scaled_dot_product_attention:
            query = args[0] if args else kwargs["query"]
            return torch.empty(query.shape, dtype=query.dtype, device=query.device)
        return function(*args, **(kwargs or {}))


def hang_lora(model: torch.nn.Module) -> list[torch.Tensor]:
    """Have a LoRA of rank 16 run beside each linear layer of a model on the meta device; its tensors, in float32."""
    tensors = []
    for layer in [module for module in model.modules() if isinstance(module, torch.nn.Linear)]:
        down, up = torch.empty(16, layer.in_features, device=META), torch.empty(layer.out_features, 16, device=META)
        layer.register_forward_hook(adding(lora_branch(down, up, 1.0, 1.0)))
        tensors += [down, up]
    return tensors
