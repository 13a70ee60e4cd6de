"""Vector-matrix volumes (TensoRF, Chen et al. 2022, Sec. 3.2): planes times lines.

Component m of a volume is a plane over two axes times a line over the third; inside a voxel their
product interpolates linearly along each axis, so a volume equals the trilinear interpolation of its
values on the nodes. Tables are stored channel-last, so that a sample reads whole rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ovs3d.device import where_set
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
class Reads:
    """Which rows of a table N points read, and how much of each.

    Attributes:
        rows: int32 `[N, K]`.
        weights: `[N, K]`.
        whole: the reads of more points, of which these are the first.
    """

    rows: Tensor
    weights: Tensor
    whole: "Reads | None" = None

    @cached_property
    def by_row(self) -> tuple[Tensor, Tensor]:
        """The rows in increasing order, and where in `rows.view(-1)` each stands."""
        if self.whole is None:
            return torch.sort(self.rows.view(-1), stable=True)
        # To pick from what is sorted already takes a fraction of the time.
        rows, places = self.whole.by_row
        # Each of one's own places is there once, so that their number is known.
        count = self.rows.numel()
        own = where_set(places < count, count)
        return rows.index_select(0, own), places.index_select(0, own)


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
        rows = _corner_rows([cell[axis] for axis in axes], [grid[axis] for axis in axes])
        return Reads(rows, _corner_weights([inside[axis] for axis in axes]))

    return Corners(tuple(read(a, b) for a, b, _ in AXES), tuple(read(c) for _, _, c in AXES))


def locate(points: Tensor, grid: Grid) -> tuple[list[Tensor], list[Tensor]]:
    """Find the voxel of points and where in it they lie.

    Args:
        points: `[N, 3]` in [-1, 1].
        grid: nodes per axis.

    Returns:
        Per axis the int32 index `[N]` of the voxel's lower node and the position `[N]` in [0, 1]
        between it and the next.
    """
    cells, insides = [], []
    for axis, nodes in enumerate(grid):
        position = ((points[:, axis] + 1) * ((nodes - 1) / 2)).clamp(0, nodes - 1)
        cell = position.to(torch.int32).clamp_max(nodes - 2)
        cells.append(cell)
        insides.append(position - cell)
    return cells, insides


def trilinear(values: Tensor, points: Tensor) -> Tensor:
    """Interpolate node values inside their voxels.

    Args:
        values: `[x, y, z]`, one value a node.
        points: `[N, 3]` in [-1, 1]; no gradient flows back to them.

    Returns:
        `[N]`.
    """
    x, y, z = values.shape
    cell, inside = locate(points, (x, y, z))
    reads = Reads(_corner_rows(cell, values.shape), _corner_weights(inside))
    return interpolate(values.view(-1, 1), reads).view(-1)


def interpolate(table: Tensor, reads: Reads) -> Tensor:
    """Return weighted sums of rows of a table.

    Args:
        table: `[M, C]`; gradients flow to it alone.
        reads: of N points.

    Returns:
        `[N, C]`.
    """
    result: Tensor = _Interpolate.apply(table, reads)
    return result


class _Interpolate(torch.autograd.Function):
    """Weighted row sums whose gradient is summed in a fixed order, on every device.

    torch's own gradient of `embedding_bag` takes ten times as long on a CPU (100,000 points, rank
    16: 30 ms against 3), that of `grid_sample` six times.
    """

    @staticmethod
    def forward(ctx: "_Context", table: Tensor, reads: Reads) -> Tensor:
        ctx.reads, ctx.size = reads, len(table)
        return functional.embedding_bag(
            reads.rows, table, mode="sum", per_sample_weights=reads.weights
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: "_Context", gradient: Tensor) -> tuple[Tensor, None]:
        reads = ctx.reads
        flat, weight, corners = reads.rows.view(-1), reads.weights.reshape(-1), reads.rows.shape[1]
        if gradient.shape[1] == 1 and gradient.device.type == "cpu":
            # One thread, in order; for single values that beats sorting.
            spread = gradient.expand(-1, corners).reshape(-1) * weight
            return spread.new_zeros(ctx.size).index_add_(0, flat, spread).view(-1, 1), None
        # Turned round: for each row of the table, the bag of samples that read it.
        ordered, order = reads.by_row
        rows = torch.arange(ctx.size, dtype=flat.dtype, device=flat.device)
        bags = torch.searchsorted(ordered, rows)
        sample = torch.div(order, corners, rounding_mode="floor")
        sums = functional.embedding_bag(
            sample,
            gradient.contiguous(),
            bags,
            mode="sum",
            per_sample_weights=weight.index_select(0, order),
        )
        return sums, None


class _Context(torch.autograd.function.FunctionCtx):
    """What `_Interpolate` keeps for its gradient."""

    reads: Reads
    size: int


def _corner_rows(cell: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    """Return the row numbers of the 2^A corners of a cell in a flattened table, int32 `[N, 2^A]`.

    Args:
        cell: index `[N]` of the lower corner along each axis of the table.
        sizes: of the table along these axes.
    """
    row, steps = cell[0], [1]
    for index, size in zip(cell[1:], sizes[1:], strict=True):
        row = row * size + index
        steps = [step * size for step in steps] + [1]
    corners = [0]
    for step in steps:
        corners = [corner + far for corner in corners for far in (0, step)]
    rows = row.new_empty(len(row), len(corners))
    for column, corner in enumerate(corners):
        rows[:, column] = row + corner
    return rows


def _corner_weights(inside: Sequence[Tensor]) -> Tensor:
    """Return linear weights of the 2^A corners of a cell, `[N, 2^A]`, the last axis fastest."""
    columns = [1 - inside[0], inside[0]]
    for position in inside[1:]:
        pair = (1 - position, position)
        columns = [column * side for column in columns for side in pair]
    # Column by column: broadcasting over an axis this short takes ten times as long on a CPU.
    weight = inside[0].new_empty(len(inside[0]), len(columns))
    for corner, column in enumerate(columns):
        weight[:, corner] = column
    return weight
