"""Steps along rays, in particular along rays that contraction bends."""

import pytest
import torch
from torch import Tensor

from ovs3d.field.march import trace
from ovs3d.field.paths import make_paths
from ovs3d.field.render import render_rays
from ovs3d.space.space import Space
from tests.field.builders import UNIT_BOX, balls, random_rays

GRID = (41, 31, 51)
WHOLE = Space(
    "contracted",
    (-2.0,) * 3,
    (2.0,) * 3,
    (1.0, 1.0),
    (4.0, 4.0, 8.0),
    0.1,
    centre=(0.5, 0.0, -1.0),
    radius=(1.0, 1.0, 2.0),
)
# Does not reach as far down and up as rays do.
FLAT = Space("contracted", (-2.0, -1.2, -2.0), (2.0, 1.4, 2.0), (1.0, 1.0), (4.0, 2.6, 4.0), 0.1)


def rays_around(count: int = 200) -> tuple[Tensor, Tensor]:
    """Return rays that start in the inner box or around it and go anywhere, float64."""
    generator = torch.Generator().manual_seed(1)
    origins = torch.randn(count, 3, generator=generator, dtype=torch.float64) * 2
    return origins, torch.randn(count, 3, generator=generator, dtype=torch.float64)


def steps_of(space: Space, rays: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return grid points `[R, S, 3]` of all steps and which of them are in the grid."""
    paths = make_paths(space, GRID, 1.0, *rays)
    steps = torch.arange(int(paths.counts.max().ceil()), dtype=rays[0].dtype) + 0.5
    at, inside = paths.positions(steps.expand(len(rays[0]), -1))
    half = torch.tensor([(nodes - 1) / 2 for nodes in GRID], dtype=rays[0].dtype)
    return torch.stack(at, dim=2) / half - 1, inside


@pytest.mark.parametrize("space", [WHOLE, FLAT], ids=["whole", "flat"])
def test_every_step_lies_on_its_ray(space: Space) -> None:
    origins, directions = rays_around()
    points, inside = steps_of(space, (origins, directions))
    assert inside.float().mean() > 0.1
    row = inside.nonzero()[:, 0]
    starts, along = origins[row], directions[row]
    depth = space.depths(starts, along, points[inside])
    world = space.to_world(points[inside])
    # Rounding grows as points go to infinity.
    scale = 1 + world.norm(dim=1, keepdim=True)
    off = (world - starts - depth[:, None] * along) / scale
    assert float(off.abs().max()) < 1e-6
    assert float(depth.min()) > space.near * 0.999


def test_steps_go_outwards_at_even_distances() -> None:
    rays = rays_around()
    points, inside = steps_of(WHOLE, rays)
    half = torch.tensor([(nodes - 1) / 2 for nodes in GRID], dtype=points.dtype)
    gaps = (points * half).diff(dim=1).norm(dim=2)[inside[:, 1:] & inside[:, :-1]]
    assert len(gaps) > 5000
    # A voxel, but for what chords leave out of the curve's length.
    assert float((gaps - 1).abs().quantile(0.99)) < 0.12
    assert float((gaps - 1).abs().median()) < 0.005
    assert float((gaps - 1).abs().max()) < 0.6
    for ray in range(len(points)):
        on_ray = points[ray][inside[ray]]
        start, along = (side[ray].expand_as(on_ray) for side in rays)
        assert (WHOLE.depths(start, along, on_ray).diff() > 0).all()


def test_rays_reach_the_end_of_the_world() -> None:
    origins, directions = rays_around()
    points, inside = steps_of(WHOLE, (origins, directions))
    last = points[torch.arange(len(points)), inside.sum(dim=1) - 1]
    # Within two voxels of the surface of the cube, which is infinity.
    assert float(last.abs().amax(dim=1).min()) > 1 - 2 * 2 / (min(GRID) - 1)


def test_steps_outside_a_cut_cube_are_no_steps() -> None:
    origins = torch.tensor([[0.0, 0.0, 0.0], [0.0, -50.0, 0.0], [0.0, -50.0, 0.0]])
    directions = torch.tensor([[0.0, 1.0, 0.0], [0.1, -1.0, 0.0], [0.0, 1.0, 0.0]])
    points, inside = steps_of(FLAT, (origins, directions))
    # Straight down from the centre: 1.4 of the 2.6 of the cube's side, 30 voxels.
    assert int(inside[0].sum()) == pytest.approx(30 * (1.4 - 0.1) / 2.6, abs=1.5)
    assert not inside[1].any()
    assert int(inside[2].sum()) == pytest.approx(30, abs=1.5)
    assert (points[2][inside[2]][:, [0, 2]] == 0).all()


def test_within_the_inner_box_a_contracted_ray_is_straight() -> None:
    """Contracted to twice the size of the box, it takes the same steps as in half the grid."""
    origins, directions = random_rays(40)
    origins = origins * 0.3
    inner = Space("contracted", (-1.0,) * 3, (1.0,) * 3, (1.0, 1.0), (2.0,) * 3, 0.0)
    curved = make_paths(inner, GRID, 1.0, origins, directions)
    straight = make_paths(UNIT_BOX, GRID, 1.0, origins, directions)
    torch.testing.assert_close(curved.counts, straight.counts, rtol=0.1, atol=2.5)
    steps = torch.full((40, 1), 6.0)
    (first, _), (second, _) = curved.positions(steps), straight.positions(steps)
    apart = torch.stack(curved.positions(steps + 1)[0]) - torch.stack(first)
    expected = torch.stack(straight.positions(steps + 1)[0]) - torch.stack(second)
    torch.testing.assert_close(apart, expected, rtol=0.02, atol=0.02)


def test_balls_in_contracted_space_are_hit_where_they_are() -> None:
    """One of radius 0.6 at the centre, one of radius 1 at (3.5, 0, 0), in the shell."""
    space = Space("contracted", (-2.0,) * 3, (2.0,) * 3, (1.0, 1.0), (4.0,) * 3, 0.1)
    field = balls(space, (161, 41, 81), (0.0, 0.0, 0.0, 0.6), (3.5, 0.0, 0.0, 1.0))
    field.update_occupancy()
    assert float(field.occupancy.float().mean()) < 0.1
    origins = torch.tensor([[0.0, 0.0, -4.0], [0.0, 0.3, 0.7], [3.5, 5.0, 0.0], [0.0, 0.0, -4.0]])
    directions = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, -5.0, 0.0], [0.0, 1.0, 0.0]])
    picture = render_rays(field, origins, directions)
    assert (picture.opacity[:3] > 0.95).all()
    assert float(picture.opacity[3]) < 0.01
    assert float(picture.depth[0]) == pytest.approx(4 - 0.6, abs=0.05)
    assert float(picture.depth[1]) == pytest.approx(3.5 - (1 - 0.3**2 - 0.7**2) ** 0.5, abs=0.25)
    assert float(picture.depth[2]) == pytest.approx((5 - 1) / 5, abs=0.06)
    # Empty space is skipped.
    points, *_ = trace(field, origins, directions)
    assert 3 < len(points) < 150
