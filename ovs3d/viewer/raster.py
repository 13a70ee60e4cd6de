"""Splats to pixels on a CPU: a z-buffer over squares, compiled by numba."""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from ovs3d.viewer.camera import Pinhole

NOTHING = -1
"""In place of a splat where a pixel shows none."""

_NEAR = 0.05
"""World units in front of the camera; nothing nearer is drawn (content begins at 1)."""


@dataclass(frozen=True, eq=False)
class Buffers:
    """What every pixel of a picture shows.

    Attributes:
        splat: int32 [h, w], index of the nearest splat or `NOTHING`.
        depth: float32 [h, w], its z-depth in world units; infinity where there is none.
    """

    splat: NDArray[np.int32]
    depth: NDArray[np.float32]


def rasterise(
    positions: NDArray[np.float32],
    radii: NDArray[np.float32],
    visible: NDArray[np.bool_],
    camera: Pinhole,
) -> Buffers:
    """Draw splats as squares that face the camera, the nearest on top.

    Args:
        positions: [N, 3], world.
        radii: [N], half the side of a square in world units; each covers a pixel at least.
        visible: [N], which of them are drawn.
        camera: who looks.
    """
    depth = np.full((camera.height, camera.width), np.inf, dtype=np.float32)
    splat = np.full((camera.height, camera.width), NOTHING, dtype=np.int32)
    pose = np.ascontiguousarray(camera.world_from_camera, dtype=np.float32)
    _fill(positions, radii, visible, pose, np.float32(camera.focal), depth, splat)
    return Buffers(splat, depth)


# The cache saves the second that compiling takes; it lies beside this file or in the user's cache.
@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill(
    positions: NDArray[np.float32],
    radii: NDArray[np.float32],
    visible: NDArray[np.bool_],
    pose: NDArray[np.float32],
    focal: np.float32,
    depth: NDArray[np.float32],
    splat: NDArray[np.int32],
) -> None:
    height, width = depth.shape
    for i in range(positions.shape[0]):
        if not visible[i]:
            continue
        x = positions[i, 0] - pose[0, 3]
        y = positions[i, 1] - pose[1, 3]
        z = positions[i, 2] - pose[2, 3]
        along = pose[0, 2] * x + pose[1, 2] * y + pose[2, 2] * z
        if along < _NEAR:
            continue
        scale = focal / along
        column = (pose[0, 0] * x + pose[1, 0] * y + pose[2, 0] * z) * scale + width * 0.5
        row = (pose[0, 1] * x + pose[1, 1] * y + pose[2, 1] * z) * scale + height * 0.5
        half = max(radii[i] * scale, np.float32(0.5))
        # A square covers the pixels whose centres lie in it.
        left, right = max(0, np.ceil(column - half - 0.5)), min(width, np.ceil(column + half - 0.5))
        top, bottom = max(0, np.ceil(row - half - 0.5)), min(height, np.ceil(row + half - 0.5))
        for pixel_row in range(int(top), int(bottom)):
            for pixel_column in range(int(left), int(right)):
                if along < depth[pixel_row, pixel_column]:
                    depth[pixel_row, pixel_column] = along
                    splat[pixel_row, pixel_column] = i
