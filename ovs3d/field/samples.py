"""Samples of rays, and sums over them: weights and compositing.

Samples of all rays lie one after another; ray r owns those from `offsets[r]` to `offsets[r + 1]`,
front to back. Opacity a, transmittance T and weights w = T a are NeRF's.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ovs3d.device import to_device
from ovs3d.field.compact import keep, ray_of_sample, running_total
from ovs3d.spill import take


@dataclass(frozen=True, eq=False)
class RaySamples:
    """The samples that matter to the pixels of some rays.

    Attributes:
        offsets: int64 `[R + 1]`, first sample of each ray.
        points: `[N, 3]`, grid coordinates in [-1, 1].
        weights: `[N]`, contribution of each sample to its pixel.
        depth: `[R]`, weighted mean depth along the direction given (z-depth if its camera-z is 1),
            over all samples, also those too light to be kept; 0 for an empty ray.
        opacity: `[R]`, sum of all weights.
    """

    offsets: Tensor
    points: Tensor
    weights: Tensor
    depth: Tensor
    opacity: Tensor

    @property
    def rows(self) -> Tensor:
        """Ray number of each sample, int64 `[N]`."""
        return ray_of_sample(self.offsets, len(self.weights))

    def select(self, rays: Tensor, total: int | None = None) -> "RaySamples":
        """Return the samples of some rays, in that order.

        Args:
            rays: int64 `[B]`.
            total: how many samples they have, if that is known; to count them takes a wait.
        """
        first = self.offsets[rays]
        offsets = running_total(self.offsets[rays + 1] - first)
        rows = ray_of_sample(offsets, int(offsets[-1]) if total is None else total)
        index = torch.arange(len(rows), device=rows.device) + (first - offsets[:-1])[rows]
        return RaySamples(
            offsets,
            take(self.points, index),
            take(self.weights, index),
            take(self.depth, rays),
            take(self.opacity, rays),
        )

    def to(self, device: torch.device) -> "RaySamples":
        """Return them on a device."""
        return RaySamples(*(to_device(each, device) for each in vars(self).values()))


def join(first: RaySamples, second: RaySamples) -> RaySamples:
    """Return the samples of some rays followed by those of others."""
    return RaySamples(
        torch.cat((first.offsets, second.offsets[1:] + len(first.weights))),
        torch.cat((first.points, second.points)),
        torch.cat((first.weights, second.weights)),
        torch.cat((first.depth, second.depth)),
        torch.cat((first.opacity, second.opacity)),
    )


def sample_weights(optical_depth: Tensor, offsets: Tensor) -> Tensor:
    """Return `T_i a_i` with `a_i = 1 - exp(-optical_depth_i)`; differentiable.

    Args:
        optical_depth: `[N]`, density times step length, at least 0.
        offsets: int64 `[R + 1]`.

    Returns:
        `[N]`, at most 1 in sum over a ray.
    """
    weights: Tensor = _Weights.apply(optical_depth, offsets)
    return weights


def composite(values: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
    """Sum weighted samples per ray, in order; differentiable in values and weights.

    Args:
        values: `[N, K]`.
        weights: `[N]`.
        offsets: int64 `[R + 1]`.

    Returns:
        `[R, K]`, zero for rays without samples.
    """
    sums: Tensor = _Composite.apply(values, weights, offsets)
    return sums


def total_weights(weights: Tensor, offsets: Tensor) -> Tensor:
    """Sum the weights of each ray: the share of its light that its samples stop; differentiable.

    Args:
        weights: `[N]`.
        offsets: int64 `[R + 1]`.

    Returns:
        `[R]`.
    """
    return composite(torch.ones_like(weights)[:, None], weights, offsets)[:, 0]


def heaviest(weights: Tensor, offsets: Tensor, share: float) -> Tensor:
    """Tell which samples are the fewest that hold a share of the weight of their ray.

    Args:
        weights: `[N]`, at least 0.
        offsets: int64 `[R + 1]`.
        share: in (0, 1].

    Returns:
        bool `[N]`; of equally heavy samples the nearer ones come first.
    """
    needed = share * total_weights(weights, offsets).double()
    # What weighs less than an even part of what may go, can go together. That leaves few to sort.
    light = needed * ((1 - share) / share) / offsets.diff().clamp_min(1)
    rows = ray_of_sample(offsets, len(weights))
    heavy = keep(weights > light.index_select(0, rows), offsets)
    index, ends, rows = heavy.index, heavy.offsets, heavy.of(rows)
    # The bits of float32 numbers that are not negative are ordered as the numbers are.
    keys = (rows << 32) - weights.index_select(0, index).float().view(torch.int32)
    index = index.index_select(0, keys.sort(stable=True).indices)
    total = functional.pad(weights.index_select(0, index).cumsum(0, dtype=torch.float64), (1, 0))
    heavier = total[:-1] - total[ends[:-1]].index_select(0, rows)
    mask = torch.zeros_like(weights, dtype=torch.bool)
    mask[index] = heavier < needed.index_select(0, rows)
    return mask


class _Context(torch.autograd.function.FunctionCtx):
    """What the functions below keep for their gradients."""

    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]


class _Weights(torch.autograd.Function):
    """Weights of all rays by one running sum, in float64 because it runs over all rays."""

    @staticmethod
    def forward(ctx: _Context, optical_depth: Tensor, offsets: Tensor) -> Tensor:
        total = functional.pad(optical_depth.cumsum(dim=0, dtype=torch.float64), (1, 0))
        rows = ray_of_sample(offsets, len(optical_depth))
        start = total[offsets[:-1]].index_select(0, rows)
        before = torch.exp(start - total[:-1]).to(optical_depth.dtype)
        weights = before * -torch.expm1(-optical_depth)
        ctx.save_for_backward(weights, before, offsets, rows)
        return weights

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor, None]:
        weights, before, offsets, rows = ctx.saved_tensors
        # d w_k / d x_k = T_k+1, and d w_i / d x_k = -w_i for every i behind k.
        total = functional.pad((gradient * weights).cumsum(dim=0, dtype=torch.float64), (1, 0))
        behind = (total[offsets[1:]].index_select(0, rows) - total[1:]).to(gradient.dtype)
        return gradient * (before - weights) - behind, None


class _Composite(torch.autograd.Function):
    """Segment sums by `embedding_bag`, which reads every sample once and adds in order."""

    @staticmethod
    def forward(ctx: _Context, values: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
        ctx.save_for_backward(values, weights, offsets)
        if not len(values):
            return values.new_zeros(len(offsets) - 1, values.shape[1])
        return functional.embedding_bag(
            torch.arange(len(values), device=values.device),
            values,
            offsets,
            mode="sum",
            per_sample_weights=weights,
            include_last_offset=True,
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        values, weights, offsets = ctx.saved_tensors
        spread = gradient.index_select(0, ray_of_sample(offsets, len(values)))
        by_value = spread * weights[:, None] if ctx.needs_input_grad[0] else None
        by_weight = (spread * values).sum(dim=1) if ctx.needs_input_grad[1] else None
        return by_value, by_weight, None
