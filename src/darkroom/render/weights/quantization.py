"""Which weights of a model are stored in 8 or 4 bits, as the trainer quantises them: quanto.py and float8.py say how.

Each layer is quantised as soon as its weights are there, so that a model never has to fit in full precision. In 8 bits
a row has one scale, so that splitting a fused layer by rows changes nothing. A weight has one form, on every device
and in every memory mode.
"""

from collections.abc import Callable, Mapping

import torch
from torch import nn

from darkroom.render.weights import float8, quanto
from darkroom.render.weights.quantized_tensor import QuantizedTensor

_KINDS: Mapping[str, Callable[[torch.Tensor], QuantizedTensor]] = {
    "qfloat8": quanto.qfloat8,
    "qint8": quanto.qint8,
    "qint4": quanto.qint4,
    "float8": float8.quantized,  # torchao's
}


def quantizer(model: nn.Module, qtype: str | None, kept: tuple[str, ...] = ()) -> Callable[[nn.Module], None]:
    """What quantises a linear layer of `model` in place, called once the layer has its weights; of others, nothing.

    `qtype`: qfloat8 | qint8 | qint4 | float8, or None for no layer. `kept`: how the names of layers begin that stay as
    they are.
    """
    linears = {
        layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear) and not name.startswith(kept)
    }

    @torch.no_grad()
    def finish(layer: nn.Module) -> None:
        if qtype is not None and layer in linears:
            layer.weight = nn.Parameter(_KINDS[qtype](layer.weight), requires_grad=False)

    return finish


def moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`tensor` on a device, of the same kind: of quantised weights each part by itself."""
    if isinstance(tensor, QuantizedTensor):
        return tensor.changed(lambda part: part.to(device))
    return tensor.to(device)
