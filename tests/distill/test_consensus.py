"""Scores that views agree on."""

import math
from pathlib import Path

import pytest
import torch

from ovs3d.distill.consensus import Consensus
from ovs3d.field.samples import RaySamples
from ovs3d.field.voxels import coarsen, voxels
from ovs3d.spill import Spill

GRID = (8, 8, 8)


def samples_at(*rays: list[tuple[tuple[float, float, float], float]]) -> RaySamples:
    """Rays of (point, weight) pairs."""
    counts = torch.tensor([len(ray) for ray in rays])
    flat = [sample for ray in rays for sample in ray]
    weights = torch.tensor([weight for _, weight in flat])
    return RaySamples(
        torch.cat((torch.zeros(1, dtype=torch.int64), counts.cumsum(0))),
        torch.tensor([point for point, _ in flat]).view(-1, 3),
        weights,
        torch.zeros(len(rays)),
        torch.zeros(len(rays)),
    )


SCORES = torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]], [[5.0, 7.0]], [[3.0, 3.0]]])
HERE, THERE = (-0.9, -0.9, -0.9), (0.9, 0.3, 0.9)


@pytest.mark.parametrize("gigabytes", [math.inf, 0.0])
def test_rays_that_see_the_same_agree(gigabytes: float, tmp_path: Path) -> None:
    spill = Spill(torch.device("cpu"), gigabytes, tmp_path)
    (scores,) = spill.collect([(SCORES.clone(),)])
    rays = samples_at([(HERE, 0.9)], [(HERE, 0.3)], [(THERE, 0.5)], [])
    consensus = Consensus(rays, GRID, scores)
    halfway = torch.lerp(scores.clone(), consensus.of(torch.arange(4)), 0.5)
    consensus.blend(scores, 0.5)
    torch.testing.assert_close(scores, halfway)
    (scores,) = spill.collect([(SCORES.clone(),)])
    consensus.blend(scores, 1.0)
    # The first ray says three times as much of what both see; the last one sees nothing.
    expected = torch.tensor([[[0.75, 0.0]], [[0.75, 0.0]], [[5.0, 7.0]], [[0.0, 0.0]]])
    torch.testing.assert_close(scores, expected)


def test_a_ray_takes_the_mean_of_what_it_sees() -> None:
    scores = torch.tensor([[[2.0]], [[6.0]], [[0.0]]])
    rays = samples_at([(HERE, 1.0)], [(THERE, 1.0)], [(HERE, 1e-6), (THERE, 3e-6)])
    seen = Consensus(rays, GRID, scores).of(torch.tensor([2, 0]))
    torch.testing.assert_close(seen, torch.tensor([[[5.0]], [[2.0]]]), atol=1e-4, rtol=0)


def test_voxels_are_numbered_along_the_axes() -> None:
    points = torch.tensor([[-1.0, -1.0, -1.0], [-1.0, -1.0, 1.0], [1.0, 1.0, 1.0], [0.1, -1, -1]])
    assert voxels(points, (2, 3, 4)).tolist() == [0, 3, 23, 12]


def test_fine_grids_are_coarsened_to_bounded_memory() -> None:
    assert coarsen(GRID) == GRID
    x, y, z = coarsen((640, 1280, 640))
    assert x * y * z <= 1 << 24
    assert y == pytest.approx(2 * x, abs=2)
    assert x == z
