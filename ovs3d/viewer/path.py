"""A camera path through views that a user has chosen."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from viser.transforms import SO3

from ovs3d.viewer.camera import Pinhole


def smooth_path(keys: Sequence[Pinhole], frames: int, width: int, height: int) -> list[Pinhole]:
    """Make cameras that pass through all given ones, at even distances in time.

    Positions follow a Catmull-Rom spline, rotations turn steadily from one to the next.

    Args:
        keys: at least one.
        frames: number of cameras to make, at least one.
        width: of their pictures.
        height: likewise.
    """
    times = np.linspace(0, len(keys) - 1, frames)
    first = np.minimum(times.astype(int), max(len(keys) - 2, 0))
    second = np.minimum(first + 1, len(keys) - 1)
    along = times - first
    centres = np.stack([key.world_from_camera[:, 3] for key in keys])
    positions = _catmull_rom(centres, first, second, along)
    turns = [SO3.from_matrix(key.world_from_camera[:, :3].astype(np.float64)) for key in keys]
    # The height of what is seen at depth 1; it means the same in pictures of any size.
    spans = np.array([key.height / key.focal for key in keys])
    cameras = []
    for position, a, b, share in zip(positions, first, second, along, strict=True):
        rotation = turns[a] @ SO3.exp(share * (turns[a].inverse() @ turns[b]).log())
        pose = np.concatenate([rotation.as_matrix(), position[:, None]], axis=1)
        focal = height / ((1 - share) * spans[a] + share * spans[b])
        cameras.append(Pinhole(width, height, float(focal), pose.astype(np.float32)))
    return cameras


def _catmull_rom(
    points: NDArray[np.float32],
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    along: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the spline through points [K, 3] at shares [F] of the way from one to another."""
    before, after = np.maximum(first - 1, 0), np.minimum(second + 1, len(points) - 1)
    p0, p1, p2, p3 = (points[index].astype(np.float64) for index in (before, first, second, after))
    t = along[:, None]
    quadratic = 2 * p0 - 5 * p1 + 4 * p2 - p3
    cubic = 3 * (p1 - p2) + p3 - p0
    return p1 + 0.5 * (t * (p2 - p0) + t**2 * quadratic + t**3 * cubic)
