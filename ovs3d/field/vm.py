"""Vector-matrix volumes (TensoRF, Chen et al. 2022, Sec. 3.2): planes times lines.

Component m of a volume is a plane over two axes times a line over the third; inside a voxel their
product interpolates linearly along each axis, so a volume equals the trilinear interpolation of its
values on the nodes. Tables are stored channel-last, so that a sample reads whole rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ovs3d.field.interpolation import Reads, corner_reads, interpolate, locate
from ovs3d.space.space import Grid

AXES = ((0, 1, 2), (0, 2, 1), (1, 2, 0))
"""Per component: first and second axis of the plane, axis of the line (0 is x)."""
INITIAL_SCALE = 0.1
"""Standard deviation of a new table (TensoRF's code)."""


class VmVolume(nn.Module):
    """A volume of feature vectors over the cube [-1, 1]^3.

    Args:
        ranks: number of components on the xy, xz and yz plane.
        grid: number of nodes along x, y, z; the outermost lie on the cube's faces.
        generator: source of the initial values; without it they are left undefined, for loading.
        device: where the tables live; that of the generator if there is one.
    """

    def __init__(
        self,
        ranks: Sequence[int],
        grid: Grid,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.ranks = tuple(ranks)
        self.grid = grid
        device = generator.device if generator is not None else device
        planes, lines = [], []
        for rank, (a, b, c) in zip(self.ranks, AXES, strict=True):
            planes.append(torch.empty(grid[a], grid[b], rank, device=device))
            lines.append(torch.empty(grid[c], rank, device=device))
        for table in planes + lines:
            if generator is not None:
                table.normal_(0, INITIAL_SCALE, generator=generator)
        self.planes = nn.ParameterList(nn.Parameter(plane) for plane in planes)
        self.lines = nn.ParameterList(nn.Parameter(line) for line in lines)

    @property
    def channels(self) -> int:
        """Length of a feature vector: all ranks together."""
        return sum(self.ranks)

    def features(self, points: Tensor) -> Tensor:
        """Evaluate the volume.

        Args:
            points: `[N, 3]` in [-1, 1]; no gradient flows back to them.

        Returns:
            `[N, sum of ranks]`, the components of the xy plane first.
        """
        return self.at(find_corners(points, self.grid))

    def at(self, corners: "Corners") -> Tensor:
        """Evaluate the volume as `features` does, at points whose corners are known."""
        parts = [
            interpolate(plane.flatten(0, 1), on_plane) * interpolate(line, on_line)
            for plane, line, on_plane, on_line in zip(
                self.planes, self.lines, corners.planes, corners.lines, strict=True
            )
        ]
        return torch.cat(parts, dim=1)

    def node_sums(self, low: int = 0, high: int | None = None) -> Tensor:
        """Return the sum over all components at the nodes, `[x, y, z]`, by matrix products.

        Args:
            low: first node along x.
            high: node along x before which to stop; the last one included if None.
        """
        (xy, xz, yz), (line_z, line_y, line_x) = self.planes, self.lines
        xy, xz, line_x = xy[low:high], xz[low:high], line_x[low:high]
        x, y, z = len(xy), *self.grid[1:]
        left = torch.cat([xy, line_y.expand(x, -1, -1)], dim=2)
        right = torch.cat([line_z.expand(x, -1, -1), xz], dim=2)
        sums = torch.bmm(left, right.transpose(1, 2)).view(x, y * z)
        return torch.addmm(sums, line_x, yz.flatten(0, 1).T).view(x, y, z)

    @torch.no_grad()
    def upsampled(self, grid: Grid) -> "VmVolume":
        """Return a copy on another grid, its tables interpolated linearly."""
        finer = VmVolume(self.ranks, grid, device=self.lines[0].device)
        for (a, b, _), old, new in zip(AXES, self.planes, finer.planes, strict=True):
            size = (grid[a], grid[b])
            channels_first = old.permute(2, 0, 1)[None]
            resized = functional.interpolate(
                channels_first, size, mode="bilinear", align_corners=True
            )
            new.copy_(resized[0].permute(1, 2, 0))
        for (_, _, c), old, new in zip(AXES, self.lines, finer.lines, strict=True):
            resized = functional.interpolate(
                old.T[None], grid[c], mode="linear", align_corners=True
            )
            new.copy_(resized[0].T)
        return finer


@dataclass(frozen=True, eq=False)
class Corners:
    """What N points read of the tables of a volume; the same for all volumes of one grid.

    Attributes:
        planes: per component, of the flattened plane, K = 4.
        lines: per component, of the line, K = 2.
    """

    planes: tuple[Reads, ...]
    lines: tuple[Reads, ...]

    def first(self, count: int) -> "Corners":
        """Return those of the first points."""
        planes, lines = (
            tuple(Reads(reads.rows[:count], reads.weights[:count], reads) for reads in tables)
            for tables in (self.planes, self.lines)
        )
        return Corners(planes, lines)


def find_corners(points: Tensor, grid: Grid) -> Corners:
    """Find what points `[N, 3]` in [-1, 1] read of the volumes of a grid."""
    cell, inside = locate(points, grid)

    def read(*axes: int) -> Reads:
        at, sizes = [cell[axis] for axis in axes], [grid[axis] for axis in axes]
        return corner_reads(at, [inside[axis] for axis in axes], sizes)

    return Corners(tuple(read(a, b) for a, b, _ in AXES), tuple(read(c) for _, _, c in AXES))
