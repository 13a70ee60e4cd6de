"""Linear interpolation of tables at points, with gradients that are the same on every device."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ovs3d.device import where_set
from ovs3d.space.space import Grid


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


def corner_reads(cell: Sequence[Tensor], inside: Sequence[Tensor], sizes: Sequence[int]) -> Reads:
    """Return what points read of a flattened table: the 2^A corners of their cells, linearly.

    Args:
        cell: per axis of the table the index `[N]` of the lower corner, as from `locate`.
        inside: per axis the position `[N]` in [0, 1] between it and the next.
        sizes: of the table along these axes.
    """
    return Reads(_corner_rows(cell, sizes), _corner_weights(inside))


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
    reads = corner_reads(cell, inside, values.shape)
    return interpolate(values.view(-1, 1), reads).view(-1)


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
