import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from ovs3d.field import march as module
from ovs3d.field.march import march, trace
from ovs3d.field.model import DENSITY_SHIFT, Field
from ovs3d.field.render import render_rays
from ovs3d.field.samples import composite
from tests.field.builders import fog, lump, naive_weights, random_rays


def naive_march(field: Field, origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Evaluate every step of a ray: points and weights."""
    start, end = (at[0] for at in field.space.segments(origin[None], direction[None]))
    nodes = torch.tensor(field.config.grid)
    length = float(((end - start) / 2 * (nodes - 1)).norm())
    count = max(0, math.ceil(length / field.config.step_voxels - 0.5))
    share = (torch.arange(count, dtype=start.dtype) + 0.5) * field.config.step_voxels / length
    points = start + share[:, None] * (end - start)
    raw = field.density.features(points).sum(dim=1)
    depth = softplus(raw + DENSITY_SHIFT) * field.config.step_length
    return points, torch.tensor(naive_weights(depth.tolist()), dtype=start.dtype)


def double_rays(count: int) -> tuple[Tensor, Tensor]:
    origins, directions = random_rays(count)
    return origins.double(), directions.double()


@pytest.mark.parametrize("make", [fog, lump])
def test_march_equals_evaluating_every_step(make: type) -> None:
    field = make().double()
    origins, directions = double_rays(12)
    samples = march(field, origins, directions, weight_threshold=-1.0)
    for ray in range(12):
        points, weights = naive_march(field, origins[ray], directions[ray])
        low, high = samples.offsets[ray], samples.offsets[ray + 1]
        torch.testing.assert_close(samples.points[low:high], points)
        torch.testing.assert_close(samples.weights[low:high], weights, rtol=1e-6, atol=1e-12)
        opacity = weights.sum()
        torch.testing.assert_close(samples.opacity[ray], opacity, rtol=1e-6, atol=1e-12)
        # World and grid are one here, the rays start at z = -1.5 and have direction z = 1.
        depth = (weights * (points[:, 2] + 1.5)).sum() / opacity.clamp_min(1e-6)
        torch.testing.assert_close(samples.depth[ray], depth, rtol=1e-6, atol=1e-9)


def test_skipping_empty_space_changes_no_weight() -> None:
    field = lump().double()
    origins, directions = double_rays(60)
    dense = march(field, origins, directions, weight_threshold=1e-4)
    everywhere = len(trace(field, origins, directions)[0])
    field.update_occupancy()
    sparse = march(field, origins, directions, weight_threshold=1e-4)
    assert 0 < len(trace(field, origins, directions)[0]) < everywhere / 2
    assert len(dense.weights) > 30
    assert torch.equal(sparse.offsets, dense.offsets)
    assert torch.equal(sparse.points, dense.points)
    torch.testing.assert_close(sparse.weights, dense.weights, rtol=0, atol=1e-4)
    torch.testing.assert_close(sparse.opacity, dense.opacity, rtol=0, atol=1e-4)


def test_march_leaves_out_light_samples_but_counts_them() -> None:
    field = fog()
    origins, directions = random_rays(5)
    everything = march(field, origins, directions, weight_threshold=-1.0)
    heavy = march(field, origins, directions, weight_threshold=0.05)
    kept = everything.weights > 0.05
    assert 0 < len(heavy.weights) < len(kept)
    assert torch.equal(heavy.weights, everything.weights[kept])
    assert torch.equal(heavy.rows, everything.rows[kept])
    assert torch.equal(heavy.opacity, everything.opacity)
    assert torch.equal(heavy.depth, everything.depth)


@pytest.mark.parametrize("step_voxels", [0.5, 0.05, 0.005])
def test_march_drops_no_more_of_a_ray_when_samples_are_many(step_voxels: float) -> None:
    field = fog(step_voxels=step_voxels)
    samples = march(field, *random_rays(9), 0.0, mass_kept=0.99)
    kept = composite(torch.ones_like(samples.weights)[:, None], samples.weights, samples.offsets)
    share = kept[:, 0] / samples.opacity
    assert float(share.min()) >= 0.99 - 1e-6
    # One sample fewer would be too few.
    lightest = torch.stack(
        [part.min() for part in samples.weights.split(samples.offsets.diff().tolist())]
    )
    assert bool((share - lightest / samples.opacity < 0.99 + 1e-6).all())


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    field = lump()
    origins, directions = random_rays(7)
    rays = (origins, directions)
    whole, most = march(field, *rays, 1e-4), march(field, *rays, 0.0, 0.9)
    picture = render_rays(field, origins, directions)
    monkeypatch.setattr(module, "_POSITIONS_PER_CHUNK", 40)
    steps = int(trace(field, origins, directions)[2].diff().max())
    assert 7 * steps > 40  # more than one chunk
    parts = march(field, origins, directions, 1e-4)
    assert torch.equal(parts.offsets, whole.offsets)
    assert torch.equal(march(field, *rays, 0.0, 0.9).offsets, most.offsets)
    torch.testing.assert_close(parts.points, whole.points)
    torch.testing.assert_close(parts.weights, whole.weights)
    torch.testing.assert_close(parts.depth, whole.depth)
    torch.testing.assert_close(render_rays(field, origins, directions).color, picture.color)


def test_trace_starts_at_the_jitter() -> None:
    field = fog()
    origins, directions = random_rays(3)
    jitter = torch.tensor([0.0, 0.25, 0.75])
    points, steps, offsets, _ = trace(field, origins, directions, jitter)
    assert steps[offsets[:-1]].tolist() == jitter.tolist()
    start, _ = field.space.segments(origins, directions)
    torch.testing.assert_close(points[0], start[0])
    for ray in range(3):
        gaps = steps[offsets[ray] : offsets[ray + 1]].diff()
        torch.testing.assert_close(gaps, torch.ones_like(gaps))
    # Consecutive points are step_voxels = 1/2 voxels apart.
    apart = (points[1] - points[0]) / 2 * (torch.tensor(field.config.grid) - 1)
    assert float(apart.norm()) == pytest.approx(0.5, abs=1e-5)


def test_select_equals_marching_these_rays() -> None:
    field = lump()
    origins, directions = random_rays(20)
    samples = march(field, origins, directions, 1e-4)
    order = samples.offsets.diff().argsort(descending=True)
    rays = order[[1, 0, 0, -1, 2]]  # turned round, one twice, one that is empty
    chosen = samples.select(rays)
    alone = march(field, origins[rays], directions[rays], 1e-4)
    assert len(alone.weights) > 5
    assert torch.equal(chosen.offsets, alone.offsets)
    torch.testing.assert_close(chosen.points, alone.points)
    torch.testing.assert_close(chosen.weights, alone.weights)
    torch.testing.assert_close(chosen.depth, alone.depth)
    torch.testing.assert_close(chosen.opacity, alone.opacity)
