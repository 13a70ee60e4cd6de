"""Rays to samples to pixels: marching with empty-space skipping, and compositing.

Samples of all rays lie one after another; ray r owns those from `offsets[r]` to `offsets[r + 1]`,
front to back. Opacity a, transmittance T and weights w = T a are NeRF's.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ovs3d.device import chunk_size, to_device
from ovs3d.field.compact import Room, compact, keep, ray_of_sample, running_total
from ovs3d.field.model import Field
from ovs3d.field.paths import longest, make_paths
from ovs3d.spill import take

MIN_OPACITY = 0.5
"""Rays of less opacity have no label and end in no point.

Opacity is the probability that a ray ends in the field: below one half it more likely met nothing.
That is what the number means, so it is no parameter; nobody should gain a score by moving it.
"""
# Positions that are tested against the occupancy mask at a time, about: bounds the memory of
# marching. Each is some 16 numbers, and those in occupied space some more.
_POSITIONS_PER_CHUNK, _BYTES_PER_POSITION = 1 << 19, 128
_TINY = 1e-6

Traced = tuple[Tensor, Tensor, Tensor, Tensor | None]
"""What `trace` returns."""


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


@dataclass(frozen=True, eq=False)
class Rendered:
    """Pixels of rays: color `[R, 3]` in [0, 1], depth `[R]` in world units, opacity `[R]`."""

    color: Tensor
    depth: Tensor
    opacity: Tensor


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
    chunks = [chunk for _, chunk in _march_chunks(field, *rays, weight_threshold, mass_kept)]
    counts = torch.cat([chunk.offsets.diff() for chunk in chunks])
    return RaySamples(
        running_total(counts),
        torch.cat([chunk.points for chunk in chunks]),
        torch.cat([chunk.weights for chunk in chunks]),
        torch.cat([chunk.depth for chunk in chunks]),
        torch.cat([chunk.opacity for chunk in chunks]),
    )


@torch.no_grad()
def render_rays(
    field: Field, origins: Tensor, directions: Tensor, weight_threshold: float = 1e-4
) -> Rendered:
    """Render rays; where nothing stops a ray its pixel stays black.

    Args:
        field: the field.
        origins: `[R, 3]`, world.
        directions: `[R, 3]`, world, camera-z 1 for depth to be z-depth.
        weight_threshold: samples of at most this weight get no colour.
    """
    colors, depths, opacities = [], [], []
    for rays, samples in _march_chunks(field, origins, directions, weight_threshold):
        colors.append(shade(field, samples, directions[rays]))
        depths.append(samples.depth)
        opacities.append(samples.opacity)
    return Rendered(torch.cat(colors), torch.cat(depths), torch.cat(opacities))


def shade(field: Field, samples: RaySamples, directions: Tensor) -> Tensor:
    """Return the colours of rays; differentiable in the field and in weights and opacity.

    Args:
        field: its `config.shading` says how.
        samples: of the rays.
        directions: `[R, 3]`, world.

    Returns:
        `[R, 3]` before black.
    """
    components = field.appearance.features(samples.points)
    if field.config.shading == "sample":
        return shade_samples(field, components, samples, directions)
    # The basis is linear: summed before it, a sample costs no matrix product.
    vectors = field.basis(composite(components, samples.weights, samples.offsets))
    mass = composite(torch.ones_like(components[:, :1]), samples.weights, samples.offsets)
    return shade_rays(field, vectors / mass.clamp_min(_TINY), samples, directions)


def shade_samples(
    field: Field, components: Tensor, samples: RaySamples, directions: Tensor
) -> Tensor:
    """Return colours as `shade` does, from the appearance components `[N, K]` of samples."""
    colors = field.colors(field.basis(components), directions.index_select(0, samples.rows))
    return composite(colors, samples.weights, samples.offsets)


def shade_rays(field: Field, means: Tensor, samples: RaySamples, directions: Tensor) -> Tensor:
    """Return colours as `shade` does, from the mean appearance vectors `[R, F]` of rays."""
    return field.colors(means, directions) * samples.opacity[:, None]


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


def heaviest(weights: Tensor, offsets: Tensor, share: float) -> Tensor:
    """Tell which samples are the fewest that hold a share of the weight of their ray.

    Args:
        weights: `[N]`, at least 0.
        offsets: int64 `[R + 1]`.
        share: in (0, 1].

    Returns:
        bool `[N]`; of equally heavy samples the nearer ones come first.
    """
    needed = share * composite(torch.ones_like(weights)[:, None], weights, offsets)[:, 0].double()
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


def _march_chunks(
    field: Field,
    origins: Tensor,
    directions: Tensor,
    weight_threshold: float,
    mass_kept: float = 1.0,
) -> Iterator[tuple[slice, RaySamples]]:
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
