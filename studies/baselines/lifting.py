"""Lifting without training: every voxel takes the mean of the windows that look at it.

A label's score is linear in the feature, so voxels collect scores in place of features.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool3d

from ovs3d.field.samples import RaySamples, composite
from ovs3d.field.voxels import voxels
from ovs3d.space.space import Grid
from studies.baselines.training import ClipTargets, bake, best_labels, render_views
from studies.case import Case, LabelMaps

_NODES_PER_VOXEL = 2
"""Along each axis: coarser than the field, so that few voxels of a surface stay empty."""
_RAYS_PER_CHUNK = 1 << 13
_TINY = 1e-8


def label_maps(case: Case) -> LabelMaps:
    """Spread the scores of the training pixels over the field and render them back."""
    rays = bake(case)
    targets = ClipTargets(case, rays)
    text = case.inputs.text
    grid = case.field.config.grid
    cells: Grid = tuple(max(1, nodes // _NODES_PER_VOXEL) for nodes in grid)  # type: ignore[assignment]
    sums = torch.zeros(math.prod(cells), len(text) + 1, device=text.device)
    for chunk in torch.split(torch.arange(len(rays), device=text.device), _RAYS_PER_CHUNK):
        samples = rays.samples.select(chunk)
        scores = targets.at(chunk).mean(dim=1) @ text.T
        values = torch.cat((scores, torch.ones_like(scores[:, :1])), dim=1)
        weighted = values[samples.rows] * samples.weights[:, None]
        sums.index_add_(0, voxels(samples.points, cells), weighted)
    sums = _filled(sums, cells)
    means = sums[:, :-1] / sums[:, -1:].clamp_min(_TINY)

    def render(samples: RaySamples) -> Tensor:
        return composite(means[voxels(samples.points, cells)], samples.weights, samples.offsets)

    return {view: best_labels(case, *maps) for view, *maps in render_views(case, render)}


def _filled(sums: Tensor, cells: Grid) -> Tensor:
    """Give voxels that no training ray reached what their neighbours have.

    Args:
        sums: [voxels, C + 1], the sum of weights last.
        cells: voxels along each axis.
    """
    layers = sums.T.reshape(1, -1, *cells)
    around = avg_pool3d(layers, kernel_size=3, stride=1, padding=1).flatten(2)[0].T
    return torch.where(sums[:, -1:] > 0, sums, around)
