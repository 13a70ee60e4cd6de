"""Which way up photos are, by their poses."""

import numpy as np
import pytest

from ovs3d.poses.upright import turn_to_upright


def walk(turn: int, seed: int = 0) -> np.ndarray:
    """Cameras around the origin, z up, that look down at it, each rolled by a degree or two; photos
    need `turn` degrees clockwise to stand upright."""
    random = np.random.default_rng(seed)
    poses = []
    for angle in np.linspace(0, 4, 14):
        centre = np.array([3 * np.cos(angle), 3 * np.sin(angle), 1.5 + 0.3 * random.normal()])
        forward = -centre / np.linalg.norm(centre)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        level = np.stack((right, np.cross(forward, right)), axis=1)
        roll = np.radians(turn + 1.5 * random.normal())
        # The camera is turned clockwise, too: what is up in the world lies left in the photo.
        axes = level @ [[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]]
        poses.append(np.column_stack((axes, forward, centre)))
    return np.stack(poses)


@pytest.mark.parametrize(("turn", "up"), [(0, (0, 1)), (90, (-1, 0)), (270, (1, 0))])
def test_the_turn_stands_photos_upright(turn: int, up: tuple[int, int]) -> None:
    poses = walk(turn)
    # In photos, (right, up); what points left points up once they are turned clockwise.
    vertical = poses[:, 2, :2].mean(axis=0) * [1, -1]
    assert vertical @ np.array(up) > 0.8
    assert turn_to_upright(poses) == turn


@pytest.mark.parametrize("seed", range(4))
def test_any_frame_will_do(seed: int) -> None:
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    rotation *= np.linalg.det(rotation)
    poses = walk(90, seed)
    moved = np.concatenate((rotation @ poses[:, :, :3], 7 * rotation @ poses[:, :, 3:]), axis=2)
    assert turn_to_upright(moved) == 90


def test_photos_from_right_above_are_left_alone() -> None:
    poses = walk(90)
    # A drone's: all look down, whichever way it flies.
    poses[:, :, :3] = np.diag([1.0, -1.0, -1.0])
    for pose, angle in zip(poses, np.linspace(0, 0.3, len(poses)), strict=True):
        turned = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        pose[:2, :2] = turned @ pose[:2, :2]
    assert turn_to_upright(poses) == 0


def test_photos_in_every_position_are_left_alone() -> None:
    axes = np.linalg.qr(np.random.default_rng(1).normal(size=(40, 3, 3)))[0]
    assert turn_to_upright(np.concatenate((axes, axes[:, :, :1]), axis=2)) == 0
