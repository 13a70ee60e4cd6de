"""The camera path through chosen views."""

from dataclasses import replace

import numpy as np
import pytest
from viser.transforms import SO3

from ovs3d.viewer.camera import Pinhole
from ovs3d.viewer.path import smooth_path
from tests.viewer.builders import front


def key(x: float, angle: float) -> Pinhole:
    pose = np.column_stack([SO3.from_y_radians(angle).as_matrix(), (x, 0.0, 0.0)])
    return replace(front(), world_from_camera=pose.astype(np.float32))


KEYS = [key(0.0, 0.0), key(1.0, 0.4), key(1.5, 0.2)]


def test_the_path_passes_through_all_views() -> None:
    path = smooth_path(KEYS, 9, 60, 40)
    for index, chosen in zip((0, 4, 8), KEYS, strict=True):
        np.testing.assert_allclose(
            path[index].world_from_camera, chosen.world_from_camera, atol=1e-6
        )
    assert all((camera.width, camera.height) == (60, 40) for camera in path)
    assert path[0].fov == pytest.approx(KEYS[0].fov)


def test_it_turns_steadily_and_stays_a_rotation() -> None:
    path = smooth_path(KEYS, 9, 60, 40)
    angles = [np.arctan2(c.world_from_camera[0, 2], c.world_from_camera[2, 2]) for c in path]
    np.testing.assert_allclose(angles[:5], np.linspace(0, 0.4, 5), atol=1e-6)
    for camera in path:
        rotation = camera.world_from_camera[:, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-5)


def test_it_has_no_corner_at_a_view() -> None:
    x = np.array([camera.world_from_camera[0, 3] for camera in smooth_path(KEYS, 201, 6, 4)])
    assert np.abs(np.diff(x, 2)).max() < 2e-3


def test_one_view_is_a_path_that_stays() -> None:
    path = smooth_path(KEYS[:1], 3, 60, 40)
    assert len(path) == 3
    assert all(camera.same_place(KEYS[0]) for camera in path)
