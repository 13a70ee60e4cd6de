"""SIFT matches: mutual nearest neighbours, the ratio test, the same on any number of threads."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ovs3d.poses.matching import match_descriptors


def unit_bytes(count: int, seed: int) -> Tensor:
    """Descriptors as SIFT makes them: no negative values, 512 long."""
    values = torch.rand(count, 128, generator=torch.Generator().manual_seed(seed)) ** 4
    lengths: Tensor = values.norm(dim=1, keepdim=True)
    return (512 * values / lengths).round().clamp(max=255).byte()


def noisy(descriptors: Tensor, seed: int) -> Tensor:
    noise = torch.randint(-6, 7, descriptors.shape, generator=torch.Generator().manual_seed(seed))
    return (descriptors.int() + noise).clamp(0, 255).byte()


def slow_matches(first: Tensor, second: Tensor) -> list[tuple[int, int]]:
    """Return the matches by the definition, one pair of descriptors after the other."""
    one, two = first.numpy().astype(int), second.numpy().astype(int)

    def nearest(query: np.ndarray, others: np.ndarray) -> int:
        angles = [math.acos(min(1.0, int(query @ other) / 512**2)) for other in others]
        best, runner_up = np.argsort(angles)[:2]
        good = angles[best] <= 0.7 and angles[best] < 0.8 * angles[runner_up]
        return int(best) if good else -1

    partners = [nearest(query, two) for query in one]
    backs = [nearest(query, one) for query in two]
    return [(i, j) for i, j in enumerate(partners) if j >= 0 and backs[j] == i]


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    """Forty points that both photos show, in another order, and some of their own."""
    shared = unit_bytes(40, 0)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    first = torch.cat((shared, unit_bytes(15, 2)))
    second = torch.cat((noisy(shared[order], 3), unit_bytes(9, 4)))
    return first, second


def test_matches_are_those_of_the_definition(pair: tuple[Tensor, Tensor]) -> None:
    expected = slow_matches(*pair)
    assert len(expected) >= 35
    assert match_descriptors(*pair).tolist() == [list(match) for match in expected]


def test_a_point_that_looks_like_two_others_matches_neither(pair: tuple[Tensor, Tensor]) -> None:
    first, second = pair
    lost = match_descriptors(first, second)[0]
    twin = second[lost[1]]
    matches = match_descriptors(first, torch.cat((second, twin[None])))
    assert int(lost[0]) not in matches[:, 0]


def test_blocks_of_rows_change_nothing(pair: tuple[Tensor, Tensor]) -> None:
    assert torch.equal(match_descriptors(*pair, rows=7), match_descriptors(*pair))


@pytest.mark.parametrize(("n", "m"), [(0, 5), (5, 0), (1, 5), (5, 1)])
def test_photos_without_points_have_no_matches(n: int, m: int) -> None:
    assert match_descriptors(unit_bytes(n, 0), unit_bytes(m, 1)).shape == (0, 2)
