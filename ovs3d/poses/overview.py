"""A plot of cameras and sparse points from above: one look tells whether poses are sane."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ovs3d.space.cameras import Cameras
from ovs3d.space.normalise import Array

_PATH_COLOR = "tab:red"
# Length of a drawn camera in world units.
_CAMERA_LENGTH = 0.15


def draw_overview(cameras: Cameras, points: Array, colors: NDArray[np.uint8]) -> Figure:
    """Draw x to the right and z upwards, so that the average camera looks up the page.

    Args:
        cameras: drawn as wedges that open as wide as their photo sees, joined in order of views.
        points: `[P, 3]`, world; those outside the cameras' box of points are left out.
        colors: uint8 `[P, 3]`.
    """
    lower, upper = cameras.points_min.numpy(), cameras.points_max.numpy()
    inside = ((points >= lower) & (points <= upper)).all(axis=1)
    xs, zs = _wedges(cameras)
    plot = Figure(figsize=(9.6, 7.2), layout="constrained")
    axes = plot.subplots()
    axes.set(xlabel="x", ylabel="z", aspect="equal")
    axes.scatter(points[inside, 0], points[inside, 2], s=3, c=colors[inside] / 255, linewidths=0)
    axes.plot(xs[0], zs[0], color=_PATH_COLOR)
    axes.plot(xs, zs, color=_PATH_COLOR, linewidth=0.8)
    return plot


def _wedges(cameras: Cameras) -> Array:
    """Return apex, left and right corner and apex again of every camera, as x and z `[2, 4, V]`."""
    poses = cameras.world_from_camera.numpy()
    centre, right, forward = (poses[:, [0, 2], column] for column in (3, 0, 2))
    # Half the photo's width at depth 1.
    half = (cameras.width / 2 / cameras.intrinsics[:, :1]).numpy()
    left_corner = centre + _CAMERA_LENGTH * (forward - half * right)
    right_corner = centre + _CAMERA_LENGTH * (forward + half * right)
    return np.stack([centre, left_corner, right_corner, centre]).transpose(2, 0, 1)
