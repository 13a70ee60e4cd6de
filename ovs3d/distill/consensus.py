"""What all views say of a surface: scores of pixels, averaged over the rays that see the same.

A single photo names a surface by few windows, some of which err. Their mean over all photos errs
less, and RDA's target made of it asks the same of a surface from every side.
"""

import math

import torch
from torch import Tensor

from ovs3d.field.render import RaySamples, composite
from ovs3d.scene.space import Grid
from ovs3d.spill import take

_MOST_VOXELS = 1 << 24
"""256^3; for finer grids, voxels of the field are put together."""
_RAYS_PER_CHUNK = 1 << 13
_TINY = 1e-8


def reach_consensus(samples: RaySamples, grid: Grid, scores: Tensor) -> None:
    """Replace the scores of every ray by those of the surface that it sees, in place.

    A voxel has the mean of the scores of all rays, weighted by what it adds to their pixels; a ray
    takes the mean of its voxels by the same weights. A ray without samples gets zeros.

    Args:
        samples: of R rays.
        grid: of the field.
        scores: [R, ...] of any device and floating type.
    """
    device = samples.offsets.device
    cells = coarsen(grid)
    chunks = torch.split(torch.arange(len(scores), device=device), _RAYS_PER_CHUNK)
    flat = scores.flatten(1)
    # Few voxels hold anything: only those get a row.
    rows = torch.zeros(math.prod(cells), dtype=torch.int32, device=device)
    for chunk in chunks:
        rows[voxels(samples.select(chunk).points, cells)] = 1
    count = int(rows.sum())
    rows = rows.cumsum(0, dtype=torch.int32).sub_(1)
    sums = torch.zeros(count, flat.shape[1] + 1, device=device)
    for chunk in chunks:
        part = samples.select(chunk)
        values = take(flat, chunk).float()
        values = torch.cat((values, torch.ones_like(values[:, :1])), dim=1)
        index = rows[voxels(part.points, cells)]
        sums.index_add_(0, index, values[part.rows] * part.weights[:, None])
    means = sums / sums[:, -1:].clamp_min(_TINY)
    for chunk in chunks:
        part = samples.select(chunk)
        index = rows[voxels(part.points, cells)]
        seen = composite(means[index], part.weights, part.offsets)
        seen = seen[:, :-1] / seen[:, -1:].clamp_min(_TINY)
        flat[chunk.to(flat.device)] = seen.to(flat)


def coarsen(grid: Grid) -> Grid:
    """Return a grid of the same shape with at most `_MOST_VOXELS`."""
    factor = min(1.0, (_MOST_VOXELS / math.prod(grid)) ** (1 / 3))
    x, y, z = (max(1, int(side * factor)) for side in grid)
    return x, y, z


def voxels(points: Tensor, cells: Grid) -> Tensor:
    """Return the voxel int64 [N] of grid points [N, 3] in [-1, 1]."""
    index = torch.zeros(len(points), dtype=torch.int64, device=points.device)
    for axis, count in enumerate(cells):
        position = ((points[:, axis] + 1) / 2 * count).long().clamp(0, count - 1)
        index = index * count + position
    return index
