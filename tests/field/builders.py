"""Small fields for tests."""

import math
from typing import Any

import torch
from torch import Tensor

from ovs3d.field.model import Field, FieldConfig
from ovs3d.space.space import Grid, Space

UNIT_BOX = Space("bounded", (-1.0,) * 3, (1.0,) * 3, (1.0, 1.0), (2.0,) * 3, 0.0)
"""World and grid coordinates are the same."""


def fog(grid: Grid = (6, 5, 7), space: Space = UNIT_BOX, seed: int = 0, **changes: Any) -> Field:
    """Return a new field, which is a thin fog everywhere."""
    values: dict[str, Any] = {
        "space": space,
        "grid": grid,
        "density_ranks": (3, 2, 2),
        "appearance_ranks": (4, 2, 3),
        "appearance_dim": 5,
        "rgb_hidden": 8,
        "step_voxels": 0.5,
        "opacity_threshold": 1e-6,
        "shading": "ray",
    }
    config = FieldConfig(**{**values, **changes})
    return Field(config, torch.Generator().manual_seed(seed))


@torch.no_grad()
def lump(grid: Grid = (6, 5, 7), **changes: Any) -> Field:
    """Return a field with a lump of matter at the nodes (2..3, 1..2, 3..4), else empty.

    Its occupancy mask is still all ones.
    """
    field = fog(grid, **changes)
    for table in (*field.density.planes, *field.density.lines):
        table.zero_()
    field.density.planes[0][:, :, 0] = -20
    field.density.lines[0][:, 0] = 1
    field.density.planes[0][2:4, 1:3, 1] = torch.tensor([[60.0, 50.0], [44.0, 52.0]])
    field.density.lines[0][3:5, 1] = 1
    return field


@torch.no_grad()
def opaque(grid: Grid, space: Space, **changes: Any) -> Field:
    """Return a field in which rays stop at the near plane; its occupancy mask is all ones."""
    values = {"step_voxels": 1.0, "opacity_threshold": 1e-4, **changes}
    field = fog(grid, space, density_ranks=(2, 1, 1), **values)
    for table in (*field.density.planes, *field.density.lines):
        table.fill_(2.0)
    return field


@torch.no_grad()
def balls(space: Space, grid: Grid, *centres_and_radii: tuple[float, float, float, float]) -> Field:
    """Return a field with opaque balls (centre and radius, world) in empty space."""
    field = fog(grid, space, density_ranks=(grid[2], 1, 1), opacity_threshold=1e-3, step_voxels=1.0)
    axes = [torch.linspace(-1, 1, nodes) for nodes in grid]
    nodes = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).view(-1, 3)
    world = space.to_world(nodes)
    full = torch.zeros(len(nodes), dtype=torch.bool)
    for *centre, radius in centres_and_radii:
        full |= (world - torch.tensor(centre)).norm(dim=1) < radius
    for table in (*field.density.planes, *field.density.lines):
        table.zero_()
    # One component of the xy plane for every node along z holds any values.
    field.density.planes[0].copy_(torch.where(full, 40.0, -20.0).view(grid))
    field.density.lines[0].copy_(torch.eye(grid[2]))
    return field


def random_rays(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return rays from z = -1.5 that look along +z; directions have z = 1."""
    generator = torch.Generator().manual_seed(seed)
    origins = torch.rand(count, 3, generator=generator) * 1.2 - 0.6
    directions = torch.rand(count, 3, generator=generator) * 0.8 - 0.4
    origins[:, 2] = -1.5
    directions[:, 2] = 1
    return origins, directions


def naive_weights(optical_depth: list[float]) -> list[float]:
    """Return the weights of one ray, sample by sample."""
    weights, light = [], 1.0
    for depth in optical_depth:
        weights.append(light * (1 - math.exp(-depth)))
        light *= math.exp(-depth)
    return weights
