"""Quantised weights: the trainer's values, in one form on every device."""

import pytest
import torch
from optimum.quanto import freeze, qfloat8, qint8, quantize

from darkroom.render.weights.quantization import finish, moved, prepare

QUANTO = {"qfloat8": qfloat8, "qint8": qint8}


def quantized_layer(qtype: str) -> tuple[torch.nn.Linear, torch.Tensor]:
    """A layer that was quantised on the way in, and the weights that it was made from."""
    weights = torch.randn(256, 128, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    with torch.device("meta"):
        model = torch.nn.Sequential(torch.nn.Linear(128, 256, bias=False))
    prepare(model, qtype)
    model[0].weight = torch.nn.Parameter(weights.clone(), requires_grad=False)
    finish(model[0])
    return model[0], weights


@pytest.mark.parametrize("qtype", ["qfloat8", "qint8"])
def test_the_values_are_quantos_own(qtype: str) -> None:
    layer, weights = quantized_layer(qtype)
    whole = torch.nn.Sequential(torch.nn.Linear(128, 256, bias=False)).to(torch.bfloat16)
    whole[0].weight.data.copy_(weights)
    quantize(whole, weights=QUANTO[qtype])
    freeze(whole)
    x = torch.randn(3, 128, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    assert torch.equal(layer(x), whole(x))


@pytest.mark.parametrize("qtype", ["qfloat8", "qint8", "qint4"])
def test_a_layer_multiplies_by_its_dequantised_weights(qtype: str) -> None:
    layer, weights = quantized_layer(qtype)
    x = torch.randn(3, 128, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    dequantised = layer.weight.dequantize()
    assert torch.allclose(layer(x), x @ dequantised.T, rtol=0.02, atol=0.1)
    assert 0 < (dequantised - weights).abs().mean() / weights.abs().mean() < {"qint4": 0.15}.get(qtype, 0.04)


@pytest.mark.parametrize("qtype", ["qfloat8", "qint8", "qint4"])
def test_a_move_packs_nothing_anew(qtype: str) -> None:
    """quanto's own `.to(device)` chooses a form for the kernels there: other pixels in another memory mode."""
    layer, _ = quantized_layer(qtype)
    there = moved(layer.weight, torch.device("meta"))
    assert (type(there), there.device.type, there.shape) == (type(layer.weight), "meta", layer.weight.shape)
    assert type(there).__name__ in ("WeightQBytesTensor", "WeightQBitsTensor")


def test_four_bits_ask_for_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """quanto's way to unpack them is C++ that it compiles when first asked, by what it finds on the path."""
    monkeypatch.setenv("PATH", "")
    layer, weights = quantized_layer("qint4")
    assert layer.weight.dequantize().shape == weights.shape
    packed = torch.tensor([[0x21], [0x43]], dtype=torch.uint8)
    assert torch.ops.quanto.unpack(packed, 4).tolist() == [[1], [3], [2], [4]]


def test_eight_bits_on_a_cpu_take_input_from_anywhere() -> None:
    """torch's kernel ends the process on some: the pooled embedding of a file, or tokens that were transposed."""
    layer, _ = quantized_layer("qint8")
    x = torch.randn(131, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    shifted = x[3:].view(1, 128)
    assert shifted.data_ptr() % 64 != 0
    assert torch.equal(layer(shifted), layer(shifted.clone()))
    rows = torch.randn(128, 3, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    assert torch.equal(layer(rows.T), layer(rows.T.contiguous()))
