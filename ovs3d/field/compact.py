"""Samples of rays that pass a test, one after another, on a GPU without asking how many.

How many pass is known to the device alone. A `Room` has rows for more of them; those that are left
over are spread over the rays, behind their own samples, and count as empty.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ovs3d.device import where_set

# On the demo no number grew by more than 1.13 in 50 iterations; by 1.2 with batches of 256 rays.
_MARGIN, _MARGIN_ROWS = 1.2, 256


class Room:
    """How many rows there are for what passes one test, again and again, on a GPU.

    Args:
        rows: None to ask for the first number, which makes the host wait.
    """

    def __init__(self, rows: int | None = None) -> None:
        self.rows = rows
        self._most: Tensor | None = None

    def take(self, count: Tensor) -> int:
        """Return the rows for `count`, int64 on the device."""
        if self.rows is None:
            self.rows = _roomy(int(count))
        if self._most is None:
            self._most = torch.zeros_like(count)
        self._most.clamp_min_(count)
        return self.rows

    def refit(self) -> int:
        """Choose the rows by the largest number since the last call; the host waits.

        Returns:
            How many rows that number lacked.
        """
        if self.rows is None or self._most is None:
            return 0
        most, rows = int(self._most), self.rows
        self.rows, self._most = _roomy(most), None
        return max(0, most - rows)


@dataclass(frozen=True, eq=False)
class Kept:
    """What is kept of N samples.

    Attributes:
        index: int64 `[M]`, which they are.
        offsets: int64 `[R + 1]`, of each ray among them.
        real: bool `[M]`, False for a row that is left over, whose index is that of any sample;
            None if no row is.
    """

    index: Tensor
    offsets: Tensor
    real: Tensor | None = None

    def of(self, values: Tensor) -> Tensor:
        """Return the rows of values `[N, ...]`, also for rows that are left over."""
        return values.index_select(0, self.index)


def real_only(values: Tensor, real: Tensor | None) -> Tensor:
    """Return values `[M]`, zero and without gradient where a row is left over."""
    return values if real is None else torch.where(real, values, 0)


def keep(mask: Tensor, offsets: Tensor, room: Room | None = None) -> Kept:
    """Keep the samples that a mask `[N]` says, of rays with offsets `[R + 1]`; see `compact`."""
    return compact(mask, running_total(mask)[offsets], room)


def compact(mask: Tensor, ends: Tensor, room: Room | None) -> Kept:
    """Keep the samples that a mask says.

    Args:
        mask: bool `[N]`.
        ends: int64 `[R + 1]`, offsets of the rays among the samples that are kept.
        room: for them on a GPU, where those that find none are left out; without it their number
            is asked for.
    """
    if room is None or mask.device.type == "cpu":
        return Kept(where_set(mask, int(ends[-1])), ends)
    rows = room.take(ends[-1])
    index = torch.nonzero_static(mask, size=rows, fill_value=0).view(-1)
    ends = ends.clamp_max(rows)
    # Evenly, as one thread of a GPU sums the samples of a ray.
    rays = torch.arange(len(ends), device=ends.device)
    left_over = torch.div(rays * (rows - ends[-1]), len(ends) - 1, rounding_mode="floor")
    offsets = ends + left_over
    ray = ray_of_sample(offsets, rows)
    place = torch.arange(rows, device=ends.device) - left_over.index_select(0, ray)
    end = ends[1:].index_select(0, ray)
    index = index.index_select(0, place.minimum(end - 1).clamp_min(0))
    return Kept(index, offsets, place < end)


def ray_of_sample(offsets: Tensor, total: int) -> Tensor:
    """Return the ray number of each of `total` samples, int64 `[N]`."""
    rays = torch.arange(len(offsets) - 1, device=offsets.device)
    return torch.repeat_interleave(rays, offsets.diff(), output_size=total)


def running_total(counts: Tensor) -> Tensor:
    """Return the running total with a leading zero, int64."""
    return functional.pad(counts.cumsum(dim=0), (1, 0))


def _roomy(count: int) -> int:
    """Return so many rows and some more, in steps of a few percent, so that they rarely change."""
    wanted = math.ceil(count * _MARGIN) + _MARGIN_ROWS
    step = 1 << (wanted.bit_length() - 5)
    return math.ceil(wanted / step) * step
