"""The z-buffer against plain loops."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ovs3d.viewer.camera import Pinhole
from ovs3d.viewer.raster import NOTHING, rasterise
from tests.viewer.builders import front


def plain(
    positions: NDArray[np.float32],
    radii: NDArray[np.float32],
    visible: NDArray[np.bool_],
    camera: Pinhole,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Ask of every pixel which squares its centre lies in."""
    rotation, centre = camera.world_from_camera[:, :3], camera.world_from_camera[:, 3]
    x, y, z = ((positions - centre) @ rotation).T
    with np.errstate(divide="ignore"):
        column = x / z * camera.focal + camera.width / 2
        row = y / z * camera.focal + camera.height / 2
        half = np.maximum(radii / z * camera.focal, 0.5)
    splat = np.full((camera.height, camera.width), NOTHING, dtype=np.int32)
    depth = np.full((camera.height, camera.width), np.inf, dtype=np.float32)
    for i, j in np.ndindex(camera.height, camera.width):
        inside = (np.abs(j + 0.5 - column) <= half) & (np.abs(i + 0.5 - row) <= half)
        candidates = np.flatnonzero(inside & visible & (z > 0.05))
        if len(candidates):
            splat[i, j] = candidates[z[candidates].argmin()]
            depth[i, j] = z[splat[i, j]]
    return splat, depth


@pytest.mark.parametrize("turned", [False, True])
def test_every_pixel_shows_the_nearest_splat(turned: bool) -> None:
    generator = np.random.default_rng(0)
    positions = generator.uniform((-1.5, -1, -1), (1.5, 1, 4), (400, 3)).astype(np.float32)
    radii = generator.uniform(0, 0.2, 400).astype(np.float32)
    visible = generator.random(400) < 0.8
    camera = front(60, 40)
    if turned:
        angle = 0.4
        turn = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
        camera.world_from_camera[:] = np.column_stack([turn, (0.1, -0.2, 0.3)])
    buffers = rasterise(positions, radii, visible, camera)
    splat, depth = plain(positions, radii, visible, camera)
    assert (splat != NOTHING).mean() > 0.3
    assert np.array_equal(buffers.splat, splat)
    np.testing.assert_allclose(buffers.depth, depth, rtol=1e-5)


def test_nothing_gives_an_empty_picture() -> None:
    none = np.zeros((0, 3), dtype=np.float32)
    buffers = rasterise(none, none[:, 0], none[:, 0].astype(bool), front(7, 5))
    assert buffers.splat.shape == (5, 7)
    assert (buffers.splat == NOTHING).all()
    assert np.isinf(buffers.depth).all()


def test_a_splat_too_small_to_see_still_covers_a_pixel() -> None:
    point = np.array([[0.01, 0.01, 2]], dtype=np.float32)
    buffers = rasterise(point, np.zeros(1, np.float32), np.ones(1, bool), front())
    assert (buffers.splat == 0).sum() == 1
