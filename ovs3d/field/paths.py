"""The course of rays through the grid, counted in steps of equal length there."""

from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from ovs3d.device import constant
from ovs3d.space.contraction import contraction
from ovs3d.space.space import Grid, Space

_TINY = 1e-6
# Points of a curved path between which its length is measured.
_KNOTS = 96
# Where such a path ends, in the parameter that reaches 1 at infinity.
_LAST_KNOT = 0.999


class Paths(Protocol):
    """Some rays; `counts` is the length of each in steps, `[R]`."""

    counts: Tensor

    def positions(self, steps: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return where steps lie, front to back.

        Args:
            steps: `[R, S]`, at least 0.

        Returns:
            Per axis `[R, S]` in node units, clamped to the grid: the integer part is the voxel;
            and bool `[R, S]`, whether the step lies in the grid at all.
        """
        ...


def make_paths(
    space: Space, grid: Grid, step_voxels: float, origins: Tensor, directions: Tensor
) -> Paths:
    """Measure rays.

    Args:
        space: the map from the world to the grid cube.
        grid: nodes per axis.
        step_voxels: length of a step in voxels.
        origins: `[R, 3]`, world.
        directions: `[R, 3]`, world.
    """
    if space.kind == "contracted":
        return _CurvedPaths(space, grid, step_voxels, origins, directions)
    return _StraightPaths(grid, step_voxels, *space.segments(origins, directions))


def longest(parts: Iterable[Paths]) -> int:
    """Return how many steps the longest of all rays of some parts has; the host waits once."""
    return int(torch.stack([paths.counts.max().ceil() for paths in parts]).max())


class _StraightPaths:
    """Segments of the cube."""

    def __init__(self, grid: Grid, step_voxels: float, start: Tensor, end: Tensor) -> None:
        scale = constant([(nodes - 1) / 2 for nodes in grid], start)
        self.start = (start + 1) * scale
        span = (end - start) * scale
        self.counts = span.norm(dim=1) / step_voxels
        self.step = span / self.counts.clamp_min(_TINY)[:, None]

    def positions(self, steps: Tensor) -> tuple[list[Tensor], Tensor]:
        """See `Paths`."""
        # Steps past the end stay at the end.
        clamped = torch.minimum(steps, self.counts[:, None])
        axes = zip(self.start.unbind(dim=1), self.step.unbind(dim=1), strict=True)
        at = [torch.addcmul(start[:, None], clamped, step[:, None]) for start, step in axes]
        return at, steps < self.counts[:, None]


class _CurvedPaths:
    """Straight rays of a contracted world: curves in the grid.

    With t_0 the place on a ray nearest to the centre of the scene and r the length of one inner
    radius along it, `t = t_0 + r w / (1 - |w|)` runs evenly with w at the centre and evenly in
    disparity far out. Knots at even w are mapped to the grid; the chords between them tell the
    length of the curve. A step lies where that length says, interpolated in w between two knots,
    on the ray itself: depths are exact, only the spacing of steps is approximate.
    """

    def __init__(
        self, space: Space, grid: Grid, step_voxels: float, origins: Tensor, directions: Tensor
    ) -> None:
        centre, radius = constant(space.centre, origins), constant(space.radius, origins)
        self.start, self.along = (origins - centre) / radius, directions / radius
        self.lower = space.lower
        self.last_nodes = [nodes - 1 for nodes in grid]
        self.scale = [
            nodes / (upper - lower)
            for nodes, lower, upper in zip(self.last_nodes, space.lower, space.upper, strict=True)
        ]
        speed = self.along.norm(dim=1, keepdim=True)
        self.reach = 1 / speed
        self.middle = -(self.start * self.along).sum(dim=1, keepdim=True) / speed.square()
        self.first = _squeeze((space.near - self.middle) * speed).clamp_max(_LAST_KNOT)
        self._measure(step_voxels)

    def _measure(self, step_voxels: float) -> None:
        knots = torch.linspace(0, 1, _KNOTS, dtype=self.first.dtype, device=self.first.device)
        at, inside = self._nodes(knots)
        # `norm` over the axis of the three takes fifty times as long on a CPU.
        x, y, z = (axis.diff(dim=1).square() for axis in at)
        chords = (x + y + z).sqrt() / step_voxels
        self.lengths = functional.pad(chords.cumsum(dim=1), (1, 0))
        # From the knot before the first one in the grid to the knot behind the last.
        before = inside.int().argmax(dim=1, keepdim=True).sub(1).clamp_min(0)
        behind = inside.flip(1).int().argmax(dim=1, keepdim=True).sub(1).clamp_min(0)
        self.base = self.lengths.gather(1, before)
        ends = self.lengths.gather(1, _KNOTS - 1 - behind)
        self.counts = torch.where(inside.any(dim=1), (ends - self.base)[:, 0], 0)

    def positions(self, steps: Tensor) -> tuple[list[Tensor], Tensor]:
        """See `Paths`."""
        lengths = self.base + torch.minimum(steps, self.counts[:, None])
        knot = torch.searchsorted(self.lengths, lengths, right=True).clamp_max(_KNOTS - 1) - 1
        low, high = self.lengths.gather(1, knot), self.lengths.gather(1, knot + 1)
        share = (knot + (lengths - low) / (high - low).clamp_min(_TINY)) / (_KNOTS - 1)
        at, inside = self._nodes(share)
        return at, inside & (steps < self.counts[:, None])

    def _nodes(self, share: Tensor) -> tuple[list[Tensor], Tensor]:
        """Map shares of the way from the first knot to the last to the grid, as `positions`."""
        w = self.first + share * (_LAST_KNOT - self.first)
        distance = self.middle + self.reach * w / (1 - w.abs())
        axes = zip(self.start.unbind(dim=1), self.along.unbind(dim=1), strict=True)
        points = [torch.addcmul(start[:, None], distance, along[:, None]) for start, along in axes]
        x, y, z = (point.abs() for point in points)
        factor = contraction(torch.maximum(torch.maximum(x, y), z))
        at, inside = [], torch.ones_like(factor, dtype=torch.bool)
        for point, lower, scale, last in zip(
            points, self.lower, self.scale, self.last_nodes, strict=True
        ):
            position = (point * factor - lower) * scale
            at.append(position.clamp(0, last))
            inside &= position == at[-1]
        return at, inside


def _squeeze(distance: Tensor) -> Tensor:
    """Return w with `distance = w / (1 - |w|)`."""
    return distance / (1 + distance.abs())
