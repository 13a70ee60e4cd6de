from itertools import pairwise

import pytest
import torch
from torch import Tensor

from ovs3d.field.vm import VmVolume
from ovs3d.reconstruct.losses import distortion, total_variation

# Rays of 0, 3, 1 and 4 samples.
OFFSETS = torch.tensor([0, 0, 3, 4, 8])


def samples() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(8, generator=generator, dtype=torch.float64)
    positions = torch.rand(8, generator=generator, dtype=torch.float64)
    for low, high in pairwise(OFFSETS.tolist()):
        positions[low:high] = positions[low:high].sort().values
    return weights, positions


def naive_distortion(weights: Tensor, positions: Tensor, offsets: Tensor, step: float) -> Tensor:
    total = weights.new_zeros(())
    for low, high in pairwise(offsets.tolist()):
        for i in range(low, high):
            for j in range(low, high):
                total = total + weights[i] * weights[j] * (positions[i] - positions[j]).abs()
            total = total + step / 3 * weights[i] ** 2
    return total / (len(offsets) - 1)


def test_total_variation_by_hand() -> None:
    volume = VmVolume((1, 1, 1), (2, 2, 2), torch.Generator())
    with torch.no_grad():
        for plane in volume.planes:
            plane.fill_(5.0)
        volume.planes[0].copy_(torch.tensor([[0.0, 1.0], [2.0, 4.0]])[:, :, None])
    loss = total_variation(volume)
    # Along x the differences 2 and 3, along y 1 and 2; TensoRF's factor 0.02.
    assert loss.item() == pytest.approx(0.02 * ((4 + 9) / 2 + (1 + 4) / 2))
    loss.backward()
    expected = 0.02 * torch.tensor([[-2.0 - 1, -3.0 + 1], [2.0 - 2, 3.0 + 2]])
    gradient = volume.planes[0].grad
    assert gradient is not None
    torch.testing.assert_close(gradient[:, :, 0], expected)
    assert volume.lines[0].grad is None


def test_total_variation_averages_over_ranks_and_adds_planes() -> None:
    volume = VmVolume((2, 1, 1), (2, 2, 2), torch.Generator())
    step = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    with torch.no_grad():
        for plane in volume.planes:
            plane.zero_()
        volume.planes[0][:, :, 1] = step
        volume.planes[2][:, :, 0] = 3 * step
    assert total_variation(volume).item() == pytest.approx(0.02 * (0.5 + 9))


def test_distortion_by_hand() -> None:
    weights = torch.tensor([0.5, 0.25])
    positions = torch.tensor([1.0, 3.0])
    # Two rays, one empty; 2 * 0.5 * 0.25 * 2 + 0.6 / 3 * (0.25 + 0.0625).
    loss = distortion(weights, positions, torch.tensor([0, 2, 2]), 0.6)
    assert float(loss) == pytest.approx((0.5 + 0.2 * 0.3125) / 2)


def test_distortion_equals_the_double_sum() -> None:
    weights, positions = samples()
    weights.requires_grad_()
    expected = naive_distortion(weights, positions, OFFSETS, 0.1)
    loss = distortion(weights, positions, OFFSETS, 0.1)
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss * 3, weights)
    (expected_gradient,) = torch.autograd.grad(expected * 3, weights)
    torch.testing.assert_close(gradient, expected_gradient)


def test_gradient_of_distortion() -> None:
    weights, positions = samples()
    assert torch.autograd.gradcheck(
        lambda w: distortion(w, positions, OFFSETS, 0.1), weights.requires_grad_()
    )


def test_distortion_without_samples_is_zero() -> None:
    offsets = torch.zeros(4, dtype=torch.int64)
    assert float(distortion(torch.empty(0), torch.empty(0), offsets, 0.1)) == 0
