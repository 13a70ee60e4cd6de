import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ovs3d.errors import ParamsError
from ovs3d.space.cameras import Cameras, pixel_centres
from ovs3d.space.fit_space import choose_space
from ovs3d.space.normalise import unit_scene
from ovs3d.space.space import Space
from tests.synthetic import SyntheticScene

NDC = Space("ndc", (-1.0, -1.0, -1.0), (3.0, 2.0, 0.0), (2.0, 3.0), (4.0, 3.0, 1.0), 1.0)
SHELL = Space(
    "contracted",
    (-1.5, -2.0, -1.8),
    (2.0, 1.2, 1.8),
    (1.0, 1.0),
    (3.5, 3.2, 3.6),
    0.5,
    centre=(1.0, 0.0, 2.0),
    radius=(1.0, 0.5, 2.0),
)
BOX = Space("bounded", (-2.0, -1.0, 0.0), (2.0, 1.0, 8.0), (1.0, 1.0), (4.0, 2.0, 8.0), 0.5)


def rays_of(cameras: Cameras) -> tuple[Tensor, Tensor]:
    """Return all pixel rays of all views, float64."""
    xy = pixel_centres(cameras.width, cameras.height, 8)
    rays = [cameras.rays(view, xy) for view in cameras.views]
    return torch.cat([o for o, _ in rays]).double(), torch.cat([d for _, d in rays]).double()


def ring(count: int = 6, radius: float = 4.0, reach: float = 2.0) -> Cameras:
    """Return cameras around the origin that look at it, y down; `reach` is the last point's z."""
    poses = []
    for angle in torch.arange(count, dtype=torch.float64) * (2 * torch.pi / count):
        forward = torch.stack([-angle.sin(), angle * 0, angle.cos()])
        down = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
        right = torch.linalg.cross(down, forward)
        poses.append(torch.stack([right, down, forward, -radius * forward], dim=1))
    return Cameras(
        views=tuple(range(count)),
        names=tuple(f"{view}.png" for view in range(count)),
        width=40,
        height=30,
        intrinsics=torch.tensor([[40.0, 40.0, 20.0, 15.0]] * count, dtype=torch.float64),
        distortion=torch.zeros(count, 4, dtype=torch.float64),
        world_from_camera=torch.stack(poses),
        near=2.0,
        far=6.0,
        points_min=torch.tensor([-1.0, -0.5, -1.0], dtype=torch.float64),
        points_max=torch.tensor([1.0, 0.5, reach], dtype=torch.float64),
    )


def test_ndc_by_hand() -> None:
    points = torch.tensor([[1.0, 2.0, 4.0], [-0.5, 1.0, 1.0], [3.0, -1.0, 2.0]])
    # (2 x / z, 3 y / z, 1 - 2 / z), then the box to [-1, 1].
    raw = torch.tensor([[0.5, 1.5, 0.5], [-1.0, 3.0, -1.0], [3.0, -1.5, 0.0]])
    expected = (raw + 1) * torch.tensor([2 / 4, 2 / 3, 2 / 1]) - 1
    torch.testing.assert_close(NDC.from_world(points), expected)


def test_the_near_plane_is_the_front_and_infinity_the_back() -> None:
    whole = Space("ndc", (-1.0,) * 3, (1.0,) * 3, (1.9, 2.5), (2.0,) * 3, 1.0)
    points = torch.tensor([[0.3, 0.2, 1.0], [0.3, 0.2, 1e9]])
    torch.testing.assert_close(whole.from_world(points)[:, 2], torch.tensor([-1.0, 1.0]))


def test_box_by_hand() -> None:
    points = torch.tensor([[0.0, 0.0, 4.0], [-2.0, 1.0, 0.0], [1.0, -0.5, 2.0]])
    expected = torch.tensor([[0.0, 0.0, 0.0], [-1.0, 1.0, -1.0], [0.5, -0.5, -0.5]])
    torch.testing.assert_close(BOX.from_world(points), expected)


def test_contraction_by_hand() -> None:
    points = torch.tensor([[1.5, 0.25, 3.0], [5.0, 0.0, 2.0], [1.0, -2.0, 6.0]])
    # In inner radii about the centre: (0.5, 0.5, 0.5), (4, 0, 0), (0, -4, 2).
    raw = torch.tensor([[0.5, 0.5, 0.5], [1.75, 0.0, 0.0], [0.0, -1.75, 0.875]])
    lower, upper = torch.tensor(SHELL.lower), torch.tensor(SHELL.upper)
    expected = 2 * (raw - lower) / (upper - lower) - 1
    torch.testing.assert_close(SHELL.from_world(points), expected)


@pytest.mark.parametrize("space", [NDC, BOX, SHELL], ids=["ndc", "bounded", "contracted"])
def test_there_and_back(space: Space) -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(200, 3, generator=generator, dtype=torch.float64)
    points[:, 2] = points[:, 2].abs() + 0.5
    grid = space.from_world(points)
    assert float(grid.std()) > 0.1
    torch.testing.assert_close(space.to_world(grid), points)


def check_segments(space: Space, cameras: Cameras) -> None:
    origins, directions = rays_of(cameras)
    start, end = space.segments(origins, directions)
    assert float(torch.cat([start, end]).abs().max()) <= 1
    length = (end - start).norm(dim=1)
    for share in (0.0, 0.3, 0.99):
        points = start + share * (end - start)
        depth = space.depths(origins, directions, points)
        world = space.to_world(points)
        hit = length > 0
        # Both on the ray and at the depth claimed.
        on_ray = origins + depth[:, None] * directions
        torch.testing.assert_close(world[hit], on_ray[hit], rtol=1e-6, atol=1e-6)


def test_ndc_segments_follow_the_rays_from_front_to_back(scene: SyntheticScene) -> None:
    space = choose_space(scene.cameras, "ndc")
    check_segments(space, scene.cameras)
    start, end = space.segments(*rays_of(scene.cameras))
    torch.testing.assert_close(start[:, 2], torch.full_like(start[:, 2], -1))
    torch.testing.assert_close(end[:, 2], torch.full_like(end[:, 2], 1), rtol=0, atol=1e-4)


def test_box_segments_follow_the_rays(scene: SyntheticScene) -> None:
    check_segments(choose_space(scene.cameras, "bounded"), scene.cameras)
    check_segments(choose_space(ring(), "auto"), ring())


@pytest.mark.parametrize("kind", ["ndc", "bounded", "contracted"])
def test_depths_are_those_of_the_camera(kind: str, scene: SyntheticScene) -> None:
    cameras = scene.cameras
    space = choose_space(cameras, kind)  # type: ignore[arg-type]
    xy = pixel_centres(cameras.width, cameras.height, 8)
    origins, directions = (rays.double() for rays in cameras.rays(2, xy))
    # Surfaces that the rays hit; their grid points must give the depth back.
    depth = torch.linspace(1.5, 3.5, len(xy), dtype=torch.float64)
    points = space.from_world(origins + depth[:, None] * directions)
    torch.testing.assert_close(space.depths(origins, directions, points), depth)
    projected = cameras.project(2, space.to_world(points))
    torch.testing.assert_close(projected[1], depth, rtol=1e-5, atol=0)


def test_box_segment_by_hand() -> None:
    origins = torch.tensor([[0.0, 0.0, -4.0], [-4.0, 0.5, 2.0], [0.0, 0.0, 4.0]])
    directions = torch.tensor([[0.0, 0.0, 2.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    start, end = BOX.segments(origins, directions)
    # The last ray starts inside the box and goes half a unit before it counts.
    first = torch.tensor([[0.0, 0.0, -1.0], [-1.0, 0.5, -0.5], [0.0, 0.0, 0.125]])
    last = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.5, -0.5], [0.0, 0.0, 1.0]])
    torch.testing.assert_close((start, end), (first, last))


@pytest.mark.parametrize(
    ("space", "origin", "direction"),
    [
        (BOX, (5.0, 0.0, -4.0), (0.0, 0.0, 1.0)),  # passes beside the box
        (BOX, (0.0, 0.0, -4.0), (0.0, 0.0, -1.0)),  # looks away from it
        (NDC, (0.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
        (NDC, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0)),
    ],
)
def test_rays_that_miss_have_no_length(
    space: Space, origin: tuple[float, ...], direction: tuple[float, ...]
) -> None:
    start, end = space.segments(torch.tensor([origin]), torch.tensor([direction]))
    assert torch.equal(start, end)
    assert torch.isfinite(start).all()


def test_auto_takes_ndc_for_a_forward_facing_scene(scene: SyntheticScene) -> None:
    space = choose_space(scene.cameras, "auto")
    assert space.kind == "ndc"
    # fx = fy = 0.95 * 96 on photos of 96 x 72.
    assert space.slope == pytest.approx((2 * 0.95, 2 * 0.95 * 96 / 72))
    assert choose_space(scene.cameras, "bounded").kind == "bounded"


def test_auto_takes_a_box_around_the_points_for_a_ring() -> None:
    space = choose_space(ring(), "auto")
    assert space.kind == "bounded"
    # A tenth of the sides (2, 1, 3) is added on both sides.
    assert space.lower == pytest.approx((-1.2, -0.6, -1.3))
    assert space.upper == pytest.approx((1.2, 0.6, 2.3))
    assert space.extent == pytest.approx((2.4, 1.2, 3.6))


def test_auto_contracts_where_points_lie_farther_out_than_the_cameras() -> None:
    assert choose_space(ring(reach=3.9), "auto").kind == "bounded"
    space = choose_space(ring(reach=6.0), "auto")
    assert space.kind == "contracted"
    # Half the cameras' distance, 2, or the points and a tenth of their sides, if that is less.
    assert space.centre == pytest.approx((0.0, 0.0, (2.0 - 1.7) / 2))
    assert space.radius == pytest.approx((1.2, 0.6, (2.0 + 1.7) / 2))
    # Twice as far as the last point: 2 (6 - 0.15) / 1.85 radii.
    assert space.upper[2] == pytest.approx(2 - 1.85 / (2 * 5.85))
    assert space.upper[0] == pytest.approx(2 - 1.2 / 2)
    assert space.near == pytest.approx(1.8)
    assert choose_space(ring(reach=6.0), "bounded").kind == "bounded"
    assert choose_space(ring(), "contracted").kind == "contracted"


def test_the_inner_box_is_never_flat() -> None:
    cameras = ring(reach=6.0)
    flat = replace(cameras, points_max=cameras.points_max * torch.tensor([1.0, -1.0, 1.0]))
    space = choose_space(flat, "auto")
    assert space.radius[1] == pytest.approx(2.0)
    assert float(space.from_world(torch.zeros(1, 3)).abs().max()) < 1


@pytest.mark.parametrize(
    ("voxels", "grid"), [(8 * 64, (8, 4, 16)), (64, (4, 2, 8)), (1, (2, 2, 2))]
)
def test_grid_has_cubic_voxels(voxels: int, grid: tuple[int, int, int]) -> None:
    assert BOX.grid(voxels) == grid  # sides 4, 2, 8


@pytest.mark.parametrize(
    "make", [lambda: NDC, lambda: BOX, lambda: SHELL, lambda: choose_space(ring(), "auto")]
)
def test_space_survives_json(make: Callable[[], Space]) -> None:
    space = make()
    assert Space.from_dict(json.loads(json.dumps(space.to_dict()))) == space


def arc(half_angle: float, elevation: float) -> tuple[Cameras, Tensor]:
    """Return cameras on an arc around things, brought to the unit scene, and points on these."""
    angles = torch.deg2rad(torch.linspace(-half_angle, half_angle, 20, dtype=torch.float64))
    tilt = torch.deg2rad(torch.tensor(elevation, dtype=torch.float64)) * torch.ones_like(angles)
    forward = torch.stack([-angles.sin(), tilt.tan(), angles.cos()], dim=1)
    forward /= forward.norm(dim=1, keepdim=True)
    right = torch.stack([angles.cos(), angles * 0, angles.sin()], dim=1)
    down = torch.linalg.cross(forward, right)
    poses = torch.stack([right, down, forward, -4 * forward], dim=2)
    points = torch.rand(500, 3, generator=torch.Generator().manual_seed(0)).double() * 2 - 1
    return unit_cameras(poses, points)


def unit_cameras(poses: Tensor, points: Tensor) -> tuple[Cameras, Tensor]:
    """Bring cameras, 40 degrees wide, that all see all points to the unit scene."""
    seen = [np.arange(len(points))] * len(poses)
    similarity, bounds = unit_scene(poses.numpy(), points.numpy(), seen)
    cameras = replace(
        ring(len(poses)),
        intrinsics=torch.tensor([[55.0, 55.0, 20.0, 15.0]] * len(poses), dtype=torch.float64),
        world_from_camera=torch.from_numpy(similarity.poses(poses.numpy())),
    )
    return cameras.within(bounds), torch.from_numpy(similarity.points(points.numpy()))


@pytest.mark.parametrize(
    ("half_angle", "elevation", "kind"),
    [(40, 0, "ndc"), (46, 0, "bounded"), (50, 15, "bounded"), (55, 30, "bounded")],
)
def test_auto_takes_ndc_only_where_the_points_lie_in_it(
    half_angle: float, elevation: float, kind: str
) -> None:
    cameras, points = arc(half_angle, elevation)
    space = choose_space(cameras, "auto")
    assert space.kind == kind
    inside = space.from_world(points).abs().amax(dim=1) <= 1
    assert inside.double().mean() > 0.95
    if kind != "ndc":
        with pytest.raises(
            ParamsError, match=r"reconstruct\.space: ndc is for cameras that face one way"
        ):
            choose_space(cameras, "ndc")


def room(facing: float) -> Cameras:
    """Return cameras on a circle in a room of 6 x 6 m; they look out (1) or across it (-1)."""
    angles = torch.arange(12, dtype=torch.float64) * (2 * torch.pi / 12)
    out = torch.stack([angles.sin(), angles * 0, angles.cos()], dim=1)
    down = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64).expand(12, 3)
    forward = facing * out
    poses = torch.stack([torch.linalg.cross(down, forward), down, forward, 0.6 * out], dim=2)
    return replace(
        ring(12),
        world_from_camera=poses,
        near=3 - facing * 0.6,
        far=4.0,
        points_min=torch.tensor([-3.0, -1.3, -3.0], dtype=torch.float64),
        points_max=torch.tensor([3.0, 1.3, 3.0], dtype=torch.float64),
    )


@pytest.mark.parametrize("facing", [1, -1], ids=["out", "across"])
def test_a_room_seen_from_its_middle_has_voxels_up_to_its_walls(facing: float) -> None:
    space = choose_space(room(facing), "auto")
    assert space.kind == "contracted"
    walls = space.from_world(torch.tensor([[1.5, 0.0, 0.0], [3.0, 0.0, 0.0]]))
    voxels = float(walls[1, 0] - walls[0, 0]) / 2 * space.grid(128**3)[0]
    # A quarter of the room, of which a shell takes its share.
    assert voxels > 25
