"""torchao's float8 in plain operations: its numbers, what it takes in memory, and what reads it."""

import pytest
import torch
from torch.nn.functional import linear

from darkroom.render.weights import quantization
from darkroom.render.weights.float8 import Float8Linear, Float8Weight, quantized

WEIGHT = torch.tensor([[1.0, -2.0, 0.3], [0.0, 0.0, 0.0], [448.0, 3.3, -7.1]], dtype=torch.bfloat16)


def test_each_row_is_scaled_by_its_largest_number_in_the_weights_dtype() -> None:
    weight = quantized(WEIGHT)
    assert weight.scale.flatten().tolist() == [0.00445556640625, 1.1920928955078125e-07, 1.0]
    assert weight.rounded.float().tolist() == [[224.0, -448.0, 64.0], [0.0, 0.0, 0.0], [448.0, 3.25, -7.0]]
    assert torch.equal(weight.dequantised(), weight.rounded.to(torch.bfloat16) * weight.scale)


def test_it_is_a_tensor_of_its_first_dtype_of_a_byte_a_number() -> None:
    weight = torch.nn.Parameter(quantized(WEIGHT), requires_grad=False)
    assert (weight.dtype, weight.shape, type(weight.data)) == (torch.bfloat16, (3, 3), Float8Weight)
    assert (weight.rounded.nbytes, weight.scale.nbytes) == (9, 6)
    here = quantization.moved(weight.detach(), torch.device("cpu"))
    assert isinstance(here, Float8Weight)
    x = torch.ones(2, 3, dtype=torch.bfloat16)
    assert torch.equal(linear(x, weight), linear(x, weight.dequantised()))
    assert torch.equal(weight + 0, weight.dequantised())


def test_layers_that_are_kept_stay_as_they_are() -> None:
    with torch.device("meta"):
        model = torch.nn.ModuleDict({"embedder": torch.nn.Linear(3, 3), "inner": torch.nn.Linear(3, 3, bias=False)})
    quantization.prepare(model, "float8", kept=("embedder",))
    assert [type(layer) for layer in model.children()] == [torch.nn.Linear, Float8Linear]
    layer = model["inner"]
    layer.weight = torch.nn.Parameter(WEIGHT, requires_grad=False)
    quantization.finish(layer)
    assert isinstance(layer.weight.data, Float8Weight)


def test_the_numbers_are_torchaos_where_it_is_installed() -> None:
    torchao = pytest.importorskip("torchao.quantization")
    layer = torch.nn.Linear(64, 32, dtype=torch.bfloat16)
    ours = quantized(layer.weight.data)
    torchao.quantize_(layer, torchao.Float8WeightOnlyConfig())
    assert torch.equal(layer.weight.dequantize(), ours.dequantised())
