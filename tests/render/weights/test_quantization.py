"""Which layers are quantised, and what a quantised weight is to those who hold it."""

import pytest
import torch
from torch.nn import Linear, Module, ModuleDict, Parameter
from torch.nn.functional import linear

from darkroom.render.weights.float8 import Float8Weight
from darkroom.render.weights.quantization import moved, quantizer
from darkroom.render.weights.quantized_tensor import QuantizedTensor
from darkroom.render.weights.quanto import EightBits, FourBits

KINDS = {"qfloat8": EightBits, "qint8": EightBits, "qint4": FourBits, "float8": Float8Weight}
of_every_kind = pytest.mark.parametrize("qtype", KINDS)


def model() -> ModuleDict:
    with torch.device("meta"):
        return ModuleDict({"embedder": Linear(128, 64), "inner": Linear(128, 64, bias=False), "norm": Module()})


def filled(layer: Module) -> torch.Tensor:
    """The weights that the layer is given."""
    weight = torch.randn(64, 128, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    layer.weight = Parameter(weight.clone(), requires_grad=False)
    return weight


@of_every_kind
def test_linear_layers_are_quantised_as_they_come_less_those_that_are_kept(qtype: str) -> None:
    layers = model()
    finish = quantizer(layers, qtype, kept=("embedder",))
    for name in ("embedder", "inner", "norm"):
        filled(layers[name])
        finish(layers[name])
    assert [type(layers[name].weight.data) for name in layers] == [torch.Tensor, KINDS[qtype], torch.Tensor]
    assert type(layers["inner"]) is Linear


def test_nothing_is_quantised_unless_it_is_asked_for() -> None:
    layers = model()
    filled(layers["inner"])
    quantizer(layers, None)(layers["inner"])
    assert type(layers["inner"].weight.data) is torch.Tensor


@of_every_kind
def test_a_weight_is_a_tensor_of_its_first_dtype_and_shape(qtype: str) -> None:
    layers = model()
    before = filled(layers["inner"])
    quantizer(layers, qtype)(layers["inner"])
    weight, x = layers["inner"].weight, torch.ones(2, 128, dtype=torch.bfloat16)
    assert isinstance(weight, QuantizedTensor)
    assert (weight.dtype, weight.shape) == (torch.bfloat16, (64, 128))
    assert torch.equal(weight + 0, weight.dequantised())
    assert torch.allclose(layers["inner"](x), linear(x, weight.dequantised()), rtol=0.02, atol=0.1)
    assert 0 < (weight - before).abs().mean() / before.abs().mean() < {"qint4": 0.15}.get(qtype, 0.04)


@of_every_kind
def test_a_move_is_of_each_part_and_packs_nothing_anew(qtype: str) -> None:
    """A form for the kernels of one device would be other pixels in another memory mode."""
    layers = model()
    filled(layers["inner"])
    quantizer(layers, qtype)(layers["inner"])
    weight = layers["inner"].weight.detach()
    there = moved(weight, torch.device("meta"))
    assert isinstance(there, KINDS[qtype])
    assert (there.device.type, there.shape, there.dtype) == ("meta", weight.shape, weight.dtype)
    assert [getattr(there, part).shape for part in there.parts] == [getattr(weight, part).shape for part in there.parts]
    back = moved(weight, torch.device("cpu"))
    assert torch.equal(back.dequantised(), weight.dequantised())


@of_every_kind
def test_a_weight_is_not_written_into(qtype: str) -> None:
    layers = model()
    filled(layers["inner"])
    quantizer(layers, qtype)(layers["inner"])
    weight, plain = layers["inner"].weight.detach(), torch.zeros(64, 128, dtype=torch.bfloat16)
    before = weight.dequantised()
    for write in (lambda: weight.add_(1), lambda: weight.copy_(plain), lambda: torch.add(plain, 1, out=weight)):
        with pytest.raises(RuntimeError, match="a quantised weight is not changed in place"):
            write()
    assert torch.equal(weight.dequantised(), before)
    assert torch.equal(plain.copy_(weight), before)  # read from
