"""Weights stored in 8 or 4 bits, as the trainer quantises them: every linear layer, by optimum-quanto. Knows no model.

Two steps, so that a model never has to fit in full precision: `prepare` on the meta device, then `finish` for each
layer as soon as its weights are there. qfloat8 has one scale an output row, so that splitting a fused layer by rows
changes nothing.
"""

import torch
from optimum.quanto import QModuleMixin, qfloat8, qint4, qint8, quantize

QTYPES = {"qfloat8": qfloat8, "qint8": qint8, "qint4": qint4}


def prepare(model: torch.nn.Module, qtype: str) -> None:
    """Give every linear layer of a model on the meta device its quantising kind, in place; weights stay as they are."""
    quantize(model, weights=QTYPES[qtype])


def finish(layer: torch.nn.Module) -> None:
    """Quantise one layer, filled by now; a layer of another kind stays as it is."""
    if isinstance(layer, QModuleMixin):
        layer.freeze()
        for name, scale in layer.named_buffers(recurse=False):  # of activations, which are not quantised
            setattr(layer, name, torch.ones(scale.shape, dtype=scale.dtype, device=layer.weight.device))
