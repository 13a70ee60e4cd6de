"""Voxels of the grid cube that sums over rays are kept in."""

import math

import torch
from torch import Tensor

from ovs3d.space.space import Grid

_MOST_VOXELS = 1 << 24
"""256^3; for finer grids, voxels of the field are put together."""


def coarsen(grid: Grid, most: float = _MOST_VOXELS) -> Grid:
    """Return a grid of the same shape with at most so many voxels."""
    factor = min(1.0, (most / math.prod(grid)) ** (1 / 3))
    x, y, z = (max(1, int(side * factor)) for side in grid)
    return x, y, z


def voxels(points: Tensor, cells: Grid) -> Tensor:
    """Return the voxel int64 [N] of grid points [N, 3] in [-1, 1]."""
    index = torch.zeros(len(points), dtype=torch.int64, device=points.device)
    for axis, count in enumerate(cells):
        position = ((points[:, axis] + 1) / 2 * count).long().clamp(0, count - 1)
        index = index * count + position
    return index
