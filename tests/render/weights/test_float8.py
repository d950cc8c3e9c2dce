"""torchao's float8 in plain operations: its numbers, what it takes in memory, and how it is multiplied by."""

import pytest
import torch
from torch.nn.functional import linear

from darkroom.render.weights.float8 import quantized

WEIGHT = torch.tensor([[1.0, -2.0, 0.3], [0.0, 0.0, 0.0], [448.0, 3.3, -7.1]], dtype=torch.bfloat16)


def test_each_row_is_scaled_by_its_largest_number_in_the_weights_dtype() -> None:
    weight = quantized(WEIGHT)
    assert weight.scale.flatten().tolist() == [0.00445556640625, 1.1920928955078125e-07, 1.0]
    assert weight.rounded.float().tolist() == [[224.0, -448.0, 64.0], [0.0, 0.0, 0.0], [448.0, 3.25, -7.0]]
    assert torch.equal(weight.dequantised(), weight.rounded.to(torch.bfloat16) * weight.scale)


def test_it_is_multiplied_by_and_its_bias_added_in_one_operation() -> None:
    weight = quantized(WEIGHT)
    assert (weight.rounded.nbytes, weight.scale.nbytes) == (9, 6)
    x, bias = torch.ones(2, 3, dtype=torch.bfloat16), torch.full((3,), 1 / 3, dtype=torch.bfloat16)
    assert torch.equal(linear(x, weight, bias), linear(x, weight.dequantised(), bias))


def test_the_numbers_are_torchaos_where_it_is_installed() -> None:
    torchao = pytest.importorskip("torchao.quantization")
    layer = torch.nn.Linear(64, 32, dtype=torch.bfloat16)
    ours = quantized(layer.weight.data)
    torchao.quantize_(layer, torchao.Float8WeightOnlyConfig())
    assert torch.equal(layer.weight.dequantize(), ours.dequantised())
