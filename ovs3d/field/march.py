"""Rays to samples: where occupied space lies on them, and what of it is seen."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ovs3d.device import chunk_size
from ovs3d.field.compact import Room, compact, keep, ray_of_sample, running_total
from ovs3d.field.model import Field
from ovs3d.field.paths import longest, make_paths
from ovs3d.field.samples import RaySamples, composite, heaviest, sample_weights

# Positions that are tested against the occupancy mask at a time, about: bounds the memory of
# marching. Each is some 16 numbers, and those in occupied space some more.
_POSITIONS_PER_CHUNK, _BYTES_PER_POSITION = 1 << 19, 128
_TINY = 1e-6

Traced = tuple[Tensor, Tensor, Tensor, Tensor | None]
"""What `trace` returns."""


@torch.no_grad()
def march(
    field: Field,
    origins: Tensor,
    directions: Tensor,
    weight_threshold: float,
    mass_kept: float = 1.0,
) -> RaySamples:
    """Find the samples of rays and their weights; density is taken as it is, without gradient.

    Args:
        field: the field; what its occupancy leaves out is skipped.
        origins: `[R, 3]`, world.
        directions: `[R, 3]`, world, camera-z 1 for depth to be z-depth.
        weight_threshold: samples of at most this weight are left out.
        mass_kept: of each ray only the fewest samples stay that hold this share of its weight.
    """
    rays = (origins, directions)
    chunks = [chunk for _, chunk in march_chunks(field, *rays, weight_threshold, mass_kept)]
    counts = torch.cat([chunk.offsets.diff() for chunk in chunks])
    return RaySamples(
        running_total(counts),
        torch.cat([chunk.points for chunk in chunks]),
        torch.cat([chunk.weights for chunk in chunks]),
        torch.cat([chunk.depth for chunk in chunks]),
        torch.cat([chunk.opacity for chunk in chunks]),
    )


def march_chunks(
    field: Field,
    origins: Tensor,
    directions: Tensor,
    weight_threshold: float,
    mass_kept: float = 1.0,
) -> Iterator[tuple[slice, RaySamples]]:
    """Do what `march` does in chunks of rays; yield which rays, and their samples."""
    table = field.density_table()
    steps = math.dist((1, 1, 1), field.config.grid) / field.config.step_voxels
    positions = chunk_size(_POSITIONS_PER_CHUNK, _BYTES_PER_POSITION, origins.device)
    most = max(1, int(positions / steps))
    for first in range(0, max(1, len(origins)), most):
        rays = slice(first, first + most)
        points, _, offsets, _ = trace(field, origins[rays], directions[rays])
        weights = sample_weights(field.optical_depth(points, table), offsets)
        rows = ray_of_sample(offsets, len(points))
        starts, along = (side[rays].index_select(0, rows) for side in (origins, directions))
        depths = field.space.depths(starts, along, points)
        totals = composite(torch.stack([depths, torch.ones_like(depths)], dim=1), weights, offsets)
        depth, opacity = totals.unbind(dim=1)
        matters = weights > weight_threshold
        if mass_kept < 1:
            matters &= heaviest(weights, offsets, mass_kept)
        kept = keep(matters, offsets)
        yield (
            rays,
            RaySamples(
                kept.offsets,
                kept.of(points),
                kept.of(weights),
                depth / opacity.clamp_min(_TINY),
                opacity,
            ),
        )


def trace(
    field: Field,
    origins: Tensor,
    directions: Tensor,
    jitter: Tensor | float = 0.5,
    most: int | None = None,
    room: Room | None = None,
) -> Traced:
    """Place samples on rays, a whole number of steps apart, where space is occupied.

    Args:
        field: its grid, step and occupancy are used.
        origins: `[R, 3]`, world.
        directions: `[R, 3]`, world.
        jitter: offset of the first sample in steps, in [0, 1), `[R]` or one for all.
        most: at least the steps of the longest ray, if that is known; to find out takes a wait.
        room: see `compact`.

    Returns:
        points `[N, 3]`, grid coordinates; how many steps along its ray each lies, `[N]`; offsets
        `[R + 1]`; `Kept.real`.
    """
    config, mask = field.config, field.occupancy
    paths = make_paths(field.space, config.grid, config.step_voxels, origins, directions)
    if most is None:
        most = longest([paths]) if len(origins) else 0
    steps = torch.arange(most, dtype=origins.dtype, device=origins.device)
    steps = steps + (jitter[:, None] if isinstance(jitter, Tensor) else jitter)
    steps = steps.expand(len(origins), -1)
    at, inside = paths.positions(steps)
    index = torch.zeros_like(at[0], dtype=torch.int32)
    for position, nodes in zip(at, mask.shape, strict=True):
        index.mul_(nodes).add_(position.to(torch.int32))
    # `index_select` on flat tensors takes a third of the time of `[]` on a CPU.
    occupied = mask.view(-1).index_select(0, index.view(-1)).view(inside.shape).bool() & inside
    found = compact(occupied.view(-1), running_total(occupied.sum(dim=1)), room)
    points = torch.stack(
        [
            found.of(axis.view(-1)) / ((nodes - 1) / 2) - 1
            for axis, nodes in zip(at, config.grid, strict=True)
        ],
        dim=1,
    )
    return points, found.of(steps.reshape(-1)), found.offsets, found.real
