import math

import pytest
import torch
from torch import nn

from studies.precision import BITS, RoundedProducts, rounded


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.0, 1.0),
        (1 + 2**-10, 1 + 2**-10),
        (1 + 2**-11, 1.0),  # a tie, to even
        (1 + 3 * 2**-11, 1 + 2**-9),  # a tie, to even
        (-1 - 2**-11 - 2**-20, -1 - 2**-10),
        (2 - 2**-20, 2.0),  # into the exponent
        (0.0, 0.0),
    ],
)
def test_rounding_by_hand(value: float, expected: float) -> None:
    assert rounded(torch.tensor([value]), BITS["tf32"]).item() == expected


def test_rounding_to_seven_bits_is_bfloat16() -> None:
    values = torch.randn(1000, generator=torch.Generator().manual_seed(0)) * 1e3
    assert torch.equal(rounded(values, BITS["bf16"]), values.bfloat16().float())


def test_products_of_layers_and_of_their_gradients_are_rounded() -> None:
    generator = torch.Generator().manual_seed(0)
    layer = nn.Linear(5, 3)
    inputs = torch.randn(4, 5, generator=generator, requires_grad=True)
    with RoundedProducts(BITS["tf32"]):
        found = layer(inputs)
        found.sum().backward()
    few, weight = (rounded(each.detach(), 10) for each in (inputs, layer.weight))
    torch.testing.assert_close(found, few @ weight.T + layer.bias, rtol=1e-6, atol=1e-6)
    assert not torch.equal(found, layer(inputs))
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad, few.sum(dim=0).expand(3, -1))
    assert inputs.grad is not None
    torch.testing.assert_close(inputs.grad, weight.sum(dim=0).expand(4, -1))


def test_sums_and_other_types_stay_as_they_are() -> None:
    value = math.pi
    with RoundedProducts(BITS["bf16"]):
        exact = torch.full((1, 1), value, dtype=torch.float64) @ torch.ones(1, 1).double()
        total = torch.full((4,), value).sum()
    assert exact.item() == value
    assert total.item() == torch.full((4,), value).sum().item()
