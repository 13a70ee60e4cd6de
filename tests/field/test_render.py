import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from ovs3d.field import render
from ovs3d.field.compact import keep
from ovs3d.field.model import DENSITY_SHIFT, Field
from ovs3d.field.render import (
    composite,
    heaviest,
    march,
    render_rays,
    sample_weights,
    shade,
    trace,
)
from tests.field.builders import fog, lump, random_rays

# Rays of 0, 3, 0, 1, 4 and 0 samples.
OFFSETS = torch.tensor([0, 0, 3, 3, 4, 8, 8])


def random_depths() -> Tensor:
    return torch.rand(8, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2


def naive_weights(optical_depth: list[float]) -> list[float]:
    weights, light = [], 1.0
    for depth in optical_depth:
        weights.append(light * (1 - math.exp(-depth)))
        light *= math.exp(-depth)
    return weights


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


def test_sample_weights_equal_a_loop() -> None:
    depth = random_depths()
    weights = sample_weights(depth, OFFSETS)
    expected = [
        weight
        for low, high in pairwise(OFFSETS.tolist())
        for weight in naive_weights(depth[low:high].tolist())
    ]
    torch.testing.assert_close(weights, torch.tensor(expected, dtype=torch.float64))


def test_weights_of_a_ray_sum_to_its_opacity() -> None:
    depth = random_depths().float()
    weights = sample_weights(depth, OFFSETS)
    for low, high in pairwise(OFFSETS.tolist()):
        opacity = 1 - math.exp(-float(depth[low:high].sum()))
        assert float(weights[low:high].sum()) == pytest.approx(opacity, abs=1e-6)


def test_weights_stay_exact_behind_many_opaque_rays() -> None:
    # The running sum goes over all rays; what came before must not show.
    depth = torch.tensor([1e3, 1e3] * 5000 + [0.25, 0.5])
    offsets = torch.cat([torch.arange(0, 10_001, 2), torch.tensor([10_002])])
    expected = torch.tensor(naive_weights([0.25, 0.5]))
    torch.testing.assert_close(sample_weights(depth, offsets)[-2:], expected)


def test_gradient_of_sample_weights() -> None:
    depth = random_depths().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: sample_weights(x, OFFSETS), depth)


def test_composite_equals_a_loop() -> None:
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(8, 3, generator=generator)
    weights = torch.rand(8, generator=generator)
    expected = torch.zeros(6, 3)
    for ray in range(6):
        for sample in range(int(OFFSETS[ray]), int(OFFSETS[ray + 1])):
            expected[ray] += values[sample] * weights[sample]
    result = composite(values, weights, OFFSETS)
    torch.testing.assert_close(result, expected)
    assert not result[[0, 2, 5]].any()


def test_composite_without_any_sample_is_zero() -> None:
    result = composite(torch.empty(0, 2), torch.empty(0), torch.zeros(4, dtype=torch.int64))
    assert result.tolist() == [[0.0, 0.0]] * 3


def test_gradient_of_composite() -> None:
    generator = torch.Generator().manual_seed(2)
    values = torch.randn(8, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(8, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v, w: composite(v, w, OFFSETS), (values, weights))


def test_gradient_of_a_pixel_in_its_densities() -> None:
    values = torch.randn(8, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    depth = random_depths().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: composite(values, sample_weights(x, OFFSETS), OFFSETS), depth
    )


def test_an_opaque_first_sample_hides_the_rest() -> None:
    values = torch.tensor([[0.2, 0.7], [5.0, 5.0], [9.0, 9.0]])
    offsets = torch.tensor([0, 3])
    weights = sample_weights(torch.tensor([1000.0, 0.3, 2.0]), offsets)
    torch.testing.assert_close(composite(values, weights, offsets), values[:1])


def test_keep_by_hand() -> None:
    mask = torch.tensor([True, False, True, False, False, False, True, True])
    kept = keep(mask, OFFSETS)
    assert kept.index.tolist() == [0, 2, 6, 7]
    assert kept.offsets.tolist() == [0, 0, 2, 2, 2, 4, 4]


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


def naive_heaviest(weights: list[float], share: float) -> list[bool]:
    order = sorted(range(len(weights)), key=lambda sample: -weights[sample])
    kept, mass = [False] * len(weights), 0.0
    for sample in order:
        if mass >= share * sum(weights):
            break
        kept[sample] = True
        mass += weights[sample]
    return kept


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.5, [True, False, False, False, True, False, False, False]),
        (0.7, [True, False, True, False, True, True, False, False]),
        (0.8, [True, False, True, False, True, True, True, False]),
        (1.0, [True, False, True, True, True, True, True, True]),
    ],
)
def test_heaviest_by_hand(share: float, expected: list[bool]) -> None:
    weights = torch.tensor([0.5, 0.0, 0.25, 0.125, 0.25, 0.125, 0.0625, 0.0625])
    # Rays of 4, 0 and 4 samples; of the last two, which are equal, the nearer one comes first.
    mask = heaviest(weights, torch.tensor([0, 4, 4, 8]), share)
    assert mask.tolist() == expected


@pytest.mark.parametrize("share", [0.3, 0.9, 0.99, 0.998])
def test_heaviest_equals_a_loop(share: float) -> None:
    generator = torch.Generator().manual_seed(4)
    counts = torch.randint(0, 40, (50,), generator=generator)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    # From one sample that has nearly all to even fog.
    spread = torch.rand(50, generator=generator).repeat_interleave(counts) * 12
    weights = torch.exp(-spread * torch.rand(len(spread), generator=generator)) / 40
    expected = [
        kept
        for low, high in pairwise(offsets.tolist())
        for kept in naive_heaviest(weights[low:high].double().tolist(), share)
    ]
    assert heaviest(weights, offsets, share).tolist() == expected


def test_heaviest_of_no_samples_is_empty() -> None:
    assert heaviest(torch.empty(0), torch.zeros(4, dtype=torch.int64), 0.9).shape == (0,)


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
    monkeypatch.setattr(render, "_POSITIONS_PER_CHUNK", 40)
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


@torch.no_grad()
def test_an_empty_field_is_black() -> None:
    field = lump()
    field.density.lines[0][:, 1] = 0  # the lump is gone
    field.update_occupancy()
    picture = render_rays(field, *random_rays(9))
    assert not picture.color.any()
    assert not picture.opacity.any()
    assert not picture.depth.any()


def test_rays_that_miss_are_black() -> None:
    field = fog()
    origins = torch.tensor([[0.0, 0.0, -2.0], [5.0, 0.0, -2.0]])
    picture = render_rays(field, origins, torch.tensor([[0.0, 0.0, 1.0]] * 2))
    assert float(picture.opacity[0]) > 0.5
    assert picture.opacity[1] == 0
    assert not picture.color[1].any()


def test_no_rays_give_no_pixels() -> None:
    picture = render_rays(fog(), torch.empty(0, 3), torch.empty(0, 3))
    assert picture.color.shape == (0, 3)
    assert picture.depth.shape == picture.opacity.shape == (0,)


@torch.no_grad()
def test_shading_per_sample_equals_a_loop() -> None:
    field = fog(shading="sample")
    origins, directions = random_rays(4)
    samples = march(field, origins, directions, -1.0)
    color = shade(field, samples, directions)
    for ray in range(4):
        expected = torch.zeros(3)
        for at in range(int(samples.offsets[ray]), int(samples.offsets[ray + 1])):
            vector = field.features(samples.points[at : at + 1])
            expected += samples.weights[at] * field.colors(vector, directions[ray : ray + 1])[0]
        torch.testing.assert_close(color[ray], expected)


@torch.no_grad()
def test_shading_per_ray_colours_the_mean_vector() -> None:
    field = fog(shading="ray")
    origins, directions = random_rays(4)
    samples = march(field, origins, directions, -1.0)
    color = shade(field, samples, directions)
    for ray in range(4):
        part = slice(int(samples.offsets[ray]), int(samples.offsets[ray + 1]))
        weights = samples.weights[part, None]
        mean = (field.features(samples.points[part]) * weights).sum(dim=0) / weights.sum()
        expected = field.colors(mean[None], directions[ray : ray + 1])[0] * weights.sum()
        torch.testing.assert_close(color[ray], expected, rtol=1e-4, atol=1e-6)
