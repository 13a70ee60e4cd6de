import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from ovs3d.field.compact import keep
from ovs3d.field.samples import composite, heaviest, sample_weights, total_weights
from tests.field.builders import naive_weights

# Rays of 0, 3, 0, 1, 4 and 0 samples.
OFFSETS = torch.tensor([0, 0, 3, 3, 4, 8, 8])


def random_depths() -> Tensor:
    return torch.rand(8, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2


def test_sample_weights_equal_a_loop() -> None:
    depth = random_depths()
    weights = sample_weights(depth, OFFSETS)
    expected = [
        weight
        for low, high in pairwise(OFFSETS.tolist())
        for weight in naive_weights(depth[low:high].tolist())
    ]
    torch.testing.assert_close(weights, torch.tensor(expected, dtype=torch.float64))


def test_weights_of_a_ray_sum_to_its_opacity() -> None:
    depth = random_depths().float()
    weights = sample_weights(depth, OFFSETS)
    for low, high in pairwise(OFFSETS.tolist()):
        opacity = 1 - math.exp(-float(depth[low:high].sum()))
        assert float(weights[low:high].sum()) == pytest.approx(opacity, abs=1e-6)


def test_weights_stay_exact_behind_many_opaque_rays() -> None:
    # The running sum goes over all rays; what came before must not show.
    depth = torch.tensor([1e3, 1e3] * 5000 + [0.25, 0.5])
    offsets = torch.cat([torch.arange(0, 10_001, 2), torch.tensor([10_002])])
    expected = torch.tensor(naive_weights([0.25, 0.5]))
    torch.testing.assert_close(sample_weights(depth, offsets)[-2:], expected)


def test_gradient_of_sample_weights() -> None:
    depth = random_depths().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: sample_weights(x, OFFSETS), depth)


def test_composite_equals_a_loop() -> None:
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(8, 3, generator=generator)
    weights = torch.rand(8, generator=generator)
    expected = torch.zeros(6, 3)
    for ray in range(6):
        for sample in range(int(OFFSETS[ray]), int(OFFSETS[ray + 1])):
            expected[ray] += values[sample] * weights[sample]
    result = composite(values, weights, OFFSETS)
    torch.testing.assert_close(result, expected)
    assert not result[[0, 2, 5]].any()


def test_composite_without_any_sample_is_zero() -> None:
    result = composite(torch.empty(0, 2), torch.empty(0), torch.zeros(4, dtype=torch.int64))
    assert result.tolist() == [[0.0, 0.0]] * 3


def test_total_weights_are_sums_over_rays() -> None:
    weights = torch.arange(1.0, 9.0)
    assert total_weights(weights, OFFSETS).tolist() == [0, 6, 0, 4, 26, 0]


def test_gradient_of_composite() -> None:
    generator = torch.Generator().manual_seed(2)
    values = torch.randn(8, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(8, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v, w: composite(v, w, OFFSETS), (values, weights))


def test_gradient_of_a_pixel_in_its_densities() -> None:
    values = torch.randn(8, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    depth = random_depths().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: composite(values, sample_weights(x, OFFSETS), OFFSETS), depth
    )


def test_an_opaque_first_sample_hides_the_rest() -> None:
    values = torch.tensor([[0.2, 0.7], [5.0, 5.0], [9.0, 9.0]])
    offsets = torch.tensor([0, 3])
    weights = sample_weights(torch.tensor([1000.0, 0.3, 2.0]), offsets)
    torch.testing.assert_close(composite(values, weights, offsets), values[:1])


def test_keep_by_hand() -> None:
    mask = torch.tensor([True, False, True, False, False, False, True, True])
    kept = keep(mask, OFFSETS)
    assert kept.index.tolist() == [0, 2, 6, 7]
    assert kept.offsets.tolist() == [0, 0, 2, 2, 2, 4, 4]


def naive_heaviest(weights: list[float], share: float) -> list[bool]:
    order = sorted(range(len(weights)), key=lambda sample: -weights[sample])
    kept, mass = [False] * len(weights), 0.0
    for sample in order:
        if mass >= share * sum(weights):
            break
        kept[sample] = True
        mass += weights[sample]
    return kept


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.5, [True, False, False, False, True, False, False, False]),
        (0.7, [True, False, True, False, True, True, False, False]),
        (0.8, [True, False, True, False, True, True, True, False]),
        (1.0, [True, False, True, True, True, True, True, True]),
    ],
)
def test_heaviest_by_hand(share: float, expected: list[bool]) -> None:
    weights = torch.tensor([0.5, 0.0, 0.25, 0.125, 0.25, 0.125, 0.0625, 0.0625])
    # Rays of 4, 0 and 4 samples; of the last two, which are equal, the nearer one comes first.
    mask = heaviest(weights, torch.tensor([0, 4, 4, 8]), share)
    assert mask.tolist() == expected


@pytest.mark.parametrize("share", [0.3, 0.9, 0.99, 0.998])
def test_heaviest_equals_a_loop(share: float) -> None:
    generator = torch.Generator().manual_seed(4)
    counts = torch.randint(0, 40, (50,), generator=generator)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    # From one sample that has nearly all to even fog.
    spread = torch.rand(50, generator=generator).repeat_interleave(counts) * 12
    weights = torch.exp(-spread * torch.rand(len(spread), generator=generator)) / 40
    expected = [
        kept
        for low, high in pairwise(offsets.tolist())
        for kept in naive_heaviest(weights[low:high].double().tolist(), share)
    ]
    assert heaviest(weights, offsets, share).tolist() == expected


def test_heaviest_of_no_samples_is_empty() -> None:
    assert heaviest(torch.empty(0), torch.zeros(4, dtype=torch.int64), 0.9).shape == (0,)
