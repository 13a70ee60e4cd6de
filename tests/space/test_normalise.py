"""The unit scene: its origin, its scale, and that the frame of the input is forgotten."""

import numpy as np
import pytest

from ovs3d.space.normalise import NEAR_MARGIN, Array, Similarity, focus, unit_scene
from tests.pose_errors import align_similarity, pose_errors

RNG_SEED = 3


def turn(angle: float) -> Array:
    """Return a rotation about an axis that is none of the coordinate axes."""
    axis = np.array([1.0, 2.0, -2.0]) / 3
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    rotation: Array = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return rotation


def row_of_cameras(count: int = 5) -> Array:
    """Return poses side by side, all looking along +z, their mean at the origin."""
    poses = np.tile(np.eye(3, 4), (count, 1, 1))
    poses[:, 0, 3] = np.linspace(-1, 1, count)
    return poses


def wall(depth: float, back: float) -> Array:
    """Return points on two parallel planes."""
    x, y = np.meshgrid(np.linspace(-2, 2, 21), np.linspace(-1, 1, 11))
    planes = [np.stack([x, y, np.full_like(x, z)], axis=-1).reshape(-1, 3) for z in (depth, back)]
    return np.concatenate(planes)


def all_seen(poses: Array, points: Array) -> list[np.ndarray]:
    """Let every view see every point."""
    return [np.arange(len(points)) for _ in poses]


def test_nearest_points_come_to_lie_just_behind_depth_one() -> None:
    poses, points = row_of_cameras(), wall(4.0, 8.0)
    similarity, bounds = unit_scene(poses, points, all_seen(poses, points))
    assert similarity.scale == pytest.approx(1 / (NEAR_MARGIN * 4))
    assert np.allclose(similarity.rotation, np.eye(3))
    assert np.allclose(similarity.translation, 0)
    assert bounds.near == pytest.approx(1)
    assert bounds.far == pytest.approx(2 / NEAR_MARGIN**2)
    assert bounds.points_min[2] == pytest.approx(1 / NEAR_MARGIN)
    assert bounds.points_max[2] == pytest.approx(2 / NEAR_MARGIN)


def test_one_camera_ahead_of_the_others_keeps_depth_one_in_front_of_the_average() -> None:
    """NDC needs the content beyond z = 1 of the world, not only beyond depth 1 of each view."""
    poses, points = row_of_cameras(), wall(4.0, 8.0)
    # Only the camera at the back sees the points, so their depth there is larger than their z.
    poses[0, 2, 3] = -5.0
    poses[1:, 2, 3] = 5.0 / 4
    seen = all_seen(poses, points)
    seen[1:] = [np.arange(0)] * 4
    similarity, bounds = unit_scene(poses, points, seen)
    assert similarity.points(points)[:, 2].min() == pytest.approx(1 / NEAR_MARGIN)
    assert bounds.near == pytest.approx(9 / 4)


def ring_of_cameras(centre: Array, pitch: float = 0.3) -> Array:
    """Return 12 poses around a point that look down at it, y down, at a distance of 5."""
    poses = np.zeros((12, 3, 4))
    for pose, angle in zip(poses, np.linspace(0, 2 * np.pi, 12, endpoint=False), strict=True):
        forward = np.array([np.sin(angle), pitch, np.cos(angle)]) / np.hypot(1, pitch)
        right = np.array([np.cos(angle), 0, -np.sin(angle)])
        axes = [right, np.cross(forward, right), forward, centre - 5 * forward]
        pose[:] = np.stack(axes, axis=1)
    return poses


@pytest.mark.parametrize("pitch", [0.0, 0.3, 0.9])
def test_cameras_around_an_object_have_it_at_the_origin(pitch: float) -> None:
    centre = np.array([3.0, -2.0, 7.0])
    turned = Similarity(1.0, turn(0.8), np.zeros(3))
    poses = turned.poses(ring_of_cameras(centre, pitch))
    points = turned.points(centre + np.random.default_rng(RNG_SEED).uniform(-0.5, 0.5, (500, 3)))
    similarity, bounds = unit_scene(poses, points, all_seen(poses, points))
    moved = similarity.poses(poses)
    assert np.allclose(similarity.points(turned.points(centre[None])), 0)
    # Down is down again, and the nearest point lies behind depth 1.
    down = moved[:, :, 1].mean(axis=0)
    assert np.allclose(down / np.linalg.norm(down), [0, 1, 0])
    assert bounds.near == pytest.approx(1)
    assert np.allclose(np.linalg.norm(moved[:, :, 3], axis=1), 5 * similarity.scale)
    assert 1 / 5 < similarity.scale < 1 / (NEAR_MARGIN * 4)


def test_focus_is_the_point_nearest_to_the_axes() -> None:
    poses = np.tile(np.eye(3, 4), (2, 1, 1))
    # One axis along z through (1, 0, 0), one along x through (0, 2, 5): nearest at (1, 1, 5).
    poses[0, :, 3] = [1, 0, -9]
    poses[1] = np.array([[0, 0, 1, 8], [0, 1, 0, 2], [-1, 0, 0, 5]])
    assert np.allclose(focus(poses), [1, 1, 5])


def test_unit_scene_does_not_depend_on_the_frame_of_the_input() -> None:
    rng = np.random.default_rng(RNG_SEED)
    poses, points = row_of_cameras(), wall(4.0, 8.0)
    for pose in poses:
        pose[:, :3] = turn(float(rng.uniform(-0.1, 0.1)))
        pose[:, 3] += rng.normal(0, 0.1, 3)
    other = Similarity(7.3, turn(2.0), np.array([4.0, -50.0, 6.0]))
    seen = all_seen(poses, points)
    similarity, bounds = unit_scene(poses, points, seen)
    moved, moved_bounds = unit_scene(other.poses(poses), other.points(points), seen)
    assert np.allclose(similarity.poses(poses), moved.poses(other.poses(poses)))
    assert np.allclose(similarity.points(points), moved.points(other.points(points)))
    assert (bounds.near, bounds.far) == pytest.approx((moved_bounds.near, moved_bounds.far))


def test_similarity_moves_poses_as_it_moves_points() -> None:
    similarity = Similarity(2.0, turn(0.7), np.array([1.0, 2.0, 3.0]))
    pose = np.concatenate([turn(-0.4), [[0.5], [0.6], [0.7]]], axis=1)
    in_camera = np.array([0.3, -0.2, 4.0])
    moved = similarity.poses(pose[None])[0]
    # The camera frame keeps its axes; its unit grows with the world.
    expected = similarity.points((pose[:, :3] @ in_camera + pose[:, 3])[None])[0]
    assert np.allclose(moved[:, :3] @ (2.0 * in_camera) + moved[:, 3], expected)


def test_align_similarity_undoes_a_similarity() -> None:
    rng = np.random.default_rng(RNG_SEED)
    points = rng.normal(size=(10, 3))
    similarity = Similarity(0.3, turn(2.5), np.array([5.0, 6.0, -7.0]))
    found = align_similarity(points, similarity.points(points))
    assert found.scale == pytest.approx(0.3)
    assert np.allclose(found.rotation, similarity.rotation)
    assert np.allclose(found.translation, similarity.translation)


def test_pose_errors_tell_degrees_and_shares_of_the_path() -> None:
    rng = np.random.default_rng(RNG_SEED)
    truth = np.concatenate([np.tile(np.eye(3), (20, 1, 1)), rng.normal(size=(20, 3, 1))], axis=2)
    found = truth.copy()
    found[4, :, :3] = turn(np.radians(2.0))
    rotations, positions = pose_errors(found, truth)
    assert rotations[4] == pytest.approx(2.0)
    assert rotations[5] == pytest.approx(0.0, abs=1e-5)
    assert positions.max() == pytest.approx(0.0, abs=1e-12)
