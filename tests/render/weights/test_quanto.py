"""qfloat8, qint8 and qint4 against quanto's own, bit for bit: odd shapes, both dtypes, with and without a bias."""

from itertools import product

import pytest
import torch
from tests.render import quanto
from torch.nn import Linear, Sequential

from darkroom.render.weights.quantization import quantizer

QTYPES = ("qfloat8", "qint8", "qint4")
SHAPES = (  # rows, columns
    *((256, 128), (33, 256), (6, 384)),  # groups of 128
    *((5, 288), (7, 192), (3, 160)),  # of 96, 64 and 32
    *((5, 208), (9, 130), (3, 96), (4, 16), (3, 7)),  # of a row
    *((1, 256), (1, 128), (1, 7), (2, 1), (1, 1)),
)


def numbers(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layer(rows: int, columns: int, dtype: torch.dtype, bias: bool = True) -> Linear:
    made = Linear(columns, rows, bias=bias, dtype=dtype)
    made.weight.data.copy_(numbers(0, rows, columns) * numbers(1, rows, 1).exp())
    if bias:
        made.bias.data.copy_(numbers(2, rows))
    return made


def by_darkroom(made: Linear, qtype: str) -> Linear:
    quantizer(Sequential(made), qtype)(made)
    return made


def by_quanto(made: Linear, qtype: str) -> Linear:
    model = Sequential(made)
    quanto.quantize(model, qtype)
    return model[0]


def assert_same(ours: torch.Tensor, theirs: torch.Tensor, what: object = "") -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True, msg=lambda said: f"{what}: {said}")


@torch.no_grad()
@pytest.mark.parametrize("qtype", QTYPES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bfloat16", "float32"])
def test_weights_and_products_are_quantos(qtype: str, dtype: torch.dtype) -> None:
    for (rows, columns), bias in product(SHAPES, (True, False)):
        ours = by_darkroom(layer(rows, columns, dtype, bias), qtype)
        theirs = by_quanto(layer(rows, columns, dtype, bias), qtype)
        assert_same(ours.weight.dequantised(), theirs.weight.dequantize(), (rows, columns))
        for x in (numbers(3, 2, 5, columns), numbers(4, 1, columns)):
            assert_same(ours(x.to(dtype)), theirs(x.to(dtype)), (rows, columns, bias))


@torch.no_grad()
@pytest.mark.parametrize("qtype", QTYPES)
def test_rows_of_equal_numbers_are_quantos_too(qtype: str) -> None:
    """qfloat8 makes NaN of a row of zeros."""
    made = [layer(4, 128, torch.bfloat16) for _ in range(2)]
    for each in made:
        each.weight.data[1], each.weight.data[2] = 0, 3.3
    ours, theirs = by_darkroom(made[0], qtype), by_quanto(made[1], qtype)
    assert_same(ours.weight.dequantised(), theirs.weight.dequantize())
    assert bool(ours.weight.dequantised().isnan().any()) == (qtype == "qfloat8")


@torch.no_grad()
@pytest.mark.parametrize("qtype", ["qfloat8", "qint8"])
def test_what_comes_in_float32_is_rounded_first(qtype: str) -> None:
    x = numbers(3, 2, 128)
    ours, theirs = (make(layer(16, 128, torch.bfloat16), qtype) for make in (by_darkroom, by_quanto))
    assert_same(ours(x), theirs(x))


@torch.no_grad()
def test_eight_bits_on_a_cpu_take_input_from_anywhere() -> None:
    """torch's kernel ends the process on some: the pooled embedding of a file, or tokens that were transposed."""
    ours = by_darkroom(layer(256, 128, torch.bfloat16), "qint8")
    shifted = numbers(3, 131).to(torch.bfloat16)[3:].view(1, 128)
    assert shifted.data_ptr() % 64 != 0
    assert torch.equal(ours(shifted), ours(shifted.clone()))
    rows = numbers(4, 128, 3).to(torch.bfloat16)
    assert torch.equal(ours(rows.T), ours(rows.T.contiguous()))


@torch.no_grad()
@pytest.mark.parametrize("columns", [4, 20, 24])
def test_eight_bits_on_a_cpu_take_rows_of_any_length(columns: int) -> None:
    """torch's kernel reads beyond a row that 16 does not divide, and quanto lets it; here that row is dequantised."""
    ours, x = by_darkroom(layer(3, columns, torch.bfloat16), "qint8"), numbers(3, 10, columns).to(torch.bfloat16)
    assert torch.equal(ours(x), x @ ours.weight.dequantised().T + ours.bias)
