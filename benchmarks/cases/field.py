"""Pieces of the field, value and gradient: planes and lines, compositing with distortion."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.harness import Benchmark, Sample, timed
from benchmarks.naive.tensorf import COLOR_RANKS, Volume
from ovs3d.field.samples import composite, sample_weights
from ovs3d.field.vm import VmVolume
from ovs3d.reconstruct.losses import distortion
from ovs3d.space.space import Grid

_SAMPLES = 128
"""Of a ray, at most."""
_STEP = 1 / _SAMPLES

Values = Mapping[str, Tensor]


def naive_volume(volume: VmVolume, grid: Grid) -> Volume:
    """Return the same tables as `grid_sample` wants them."""
    naive = Volume(COLOR_RANKS, grid)
    with torch.no_grad():
        for theirs, plane in zip(naive.planes, volume.planes, strict=True):
            theirs.copy_(plane.permute(2, 1, 0)[None])
        for theirs, line in zip(naive.lines, volume.lines, strict=True):
            theirs.copy_(line.T[None, :, :, None])
    return naive


def volume_inputs(
    points: int = 100_000, grid: Grid = (128, 128, 128)
) -> tuple[VmVolume, Volume, Tensor, Tensor]:
    """Draw a volume in both forms, points [N, 3] in it, and a gradient of their values [N, K]."""
    generator = torch.Generator().manual_seed(0)
    volume = VmVolume(COLOR_RANKS, grid, generator)
    places = torch.rand(points, 3, generator=generator) * 2 - 1
    gradient = torch.randn(points, volume.channels, generator=generator)
    return volume, naive_volume(volume, grid), places, gradient


def _planes_by_grid_sample(inputs: tuple[VmVolume, Volume, Tensor, Tensor]) -> Sample:
    _, volume, points, gradient = inputs

    def work() -> Values:
        volume.zero_grad()
        values = volume(points)
        values.backward(gradient)
        planes, lines = ([table.grad for table in side] for side in (volume.planes, volume.lines))
        return _named(
            values.detach(),
            [plane[0].permute(2, 1, 0) for plane in planes],
            [line[0, :, :, 0].T for line in lines],
        )

    return _sample(work)


def _planes_by_rows(inputs: tuple[VmVolume, Volume, Tensor, Tensor]) -> Sample:
    volume, _, points, gradient = inputs

    def work() -> Values:
        volume.zero_grad()
        values = volume.features(points)
        values.backward(gradient)
        planes, lines = ([table.grad for table in side] for side in (volume.planes, volume.lines))
        return _named(values.detach(), planes, lines)

    return _sample(work)


def _named(values: Tensor, planes: list[Any], lines: list[Any]) -> Values:
    named = {f"gradient of plane {number}": plane for number, plane in enumerate(planes)}
    named |= {f"gradient of line {number}": line for number, line in enumerate(lines)}
    return {"values": values, **named}


def ray_inputs(rays: int = 1024) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw rays of 0 to `_SAMPLES` samples: offsets, optical depths, places on the ray, colours."""
    generator = torch.Generator().manual_seed(0)
    counts = torch.randint(_SAMPLES + 1, (rays,), generator=generator)
    offsets = functional.pad(counts.cumsum(dim=0), (1, 0))
    total = int(offsets[-1])
    depth = torch.rand(total, generator=generator) ** 4
    places = torch.cat([torch.arange(count) * _STEP for count in counts.tolist()])
    return offsets, depth, places, torch.rand(total, 3, generator=generator)


def _rays_densely(inputs: tuple[Tensor, Tensor, Tensor, Tensor]) -> Sample:
    offsets, depth, places, colors = inputs
    depth, colors = depth.clone().requires_grad_(), colors.clone().requires_grad_()

    def work() -> Values:
        padded = [_pad(side, offsets) for side in (depth, places, colors)]
        alpha = 1 - torch.exp(-padded[0])
        light = torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha], dim=1).cumprod(dim=1)
        weights = alpha * light[:, :-1]
        pixels = (weights[..., None] * padded[2]).sum(dim=1)
        apart = (padded[1][:, :, None] - padded[1][:, None]).abs()
        pairs = (weights[:, :, None] * weights[:, None] * apart).sum(dim=(1, 2))
        spread = (pairs + _STEP / 3 * weights.square().sum(dim=1)).mean()
        return _gradients(pixels, spread, depth, colors)

    return _sample(work)


def _rays_in_rows(inputs: tuple[Tensor, Tensor, Tensor, Tensor]) -> Sample:
    offsets, depth, places, colors = inputs
    depth, colors = depth.clone().requires_grad_(), colors.clone().requires_grad_()

    def work() -> Values:
        weights = sample_weights(depth, offsets)
        pixels = composite(colors, weights, offsets)
        return _gradients(pixels, distortion(weights, places, offsets, _STEP), depth, colors)

    return _sample(work)


def _pad(values: Tensor, offsets: Tensor) -> Tensor:
    rays = [values[low:high] for low, high in pairwise(offsets.tolist())]
    return torch.nn.utils.rnn.pad_sequence(rays, batch_first=True)


def _gradients(pixels: Tensor, spread: Tensor, depth: Tensor, colors: Tensor) -> Values:
    by_depth, by_color = torch.autograd.grad(pixels.square().mean() + spread, (depth, colors))
    return {
        "pixels": pixels.detach(),
        "distortion": spread.detach(),
        "gradient of depths": by_depth,
        "gradient of colours": by_color,
    }


def _sample(work: Callable[[], Values]) -> Sample:
    return Sample(timed(work, calls=5), work())


BENCHMARKS = (
    Benchmark(
        name="planes_and_lines",
        shapes="100,000 points, 128^3 nodes, ranks 48, 12, 12, value and gradient",
        goal="equal to 1e-4",
        setup=volume_inputs,
        naive=_planes_by_grid_sample,
        ours=_planes_by_rows,
        repeats=3,
    ),
    Benchmark(
        name="compositing",
        shapes="1024 rays of up to 128 samples, colour and distortion, value and gradient",
        goal="equal to 1e-4",
        setup=ray_inputs,
        naive=_rays_densely,
        ours=_rays_in_rows,
        repeats=3,
    ),
)
