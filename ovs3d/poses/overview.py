"""A picture of cameras and sparse points from above: one look tells whether poses are sane."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ovs3d.space.cameras import Cameras
from ovs3d.space.normalise import Array

_WIDTH = 960
_HEIGHT = 720
_MARGIN = 40
_PATH_COLOR = (200, 30, 30)
# Length of a drawn camera in world units.
_CAMERA_LENGTH = 0.15


def draw_overview(cameras: Cameras, points: Array, colors: NDArray[np.uint8]) -> Image.Image:
    """Draw x to the right and z upwards, so that the average camera looks up the page.

    Args:
        cameras: drawn as wedges that open as wide as their photo sees, joined in order of views.
        points: `[P, 3]`, world; those outside the cameras' box of points are left out.
        colors: uint8 `[P, 3]`.

    Returns:
        An RGB picture.
    """
    lower, upper = cameras.points_min.numpy(), cameras.points_max.numpy()
    inside = ((points >= lower) & (points <= upper)).all(axis=1)
    corners = _wedges(cameras)
    shown = np.concatenate([points[inside][:, [0, 2]], corners.reshape(-1, 2)])
    start, size = shown.min(axis=0), np.ptp(shown, axis=0)
    scale = min((_WIDTH - 2 * _MARGIN) / size[0], (_HEIGHT - 2 * _MARGIN) / size[1])
    # The picture's middle is the middle of what is shown.
    offset = np.array([_WIDTH, _HEIGHT]) / 2 - scale * size / 2

    def place(plane: Array) -> Array:
        page = (plane - start) * scale + offset
        flipped: Array = np.stack([page[..., 0], _HEIGHT - page[..., 1]], axis=-1)
        return flipped

    picture = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    spots = np.round(place(points[inside][:, [0, 2]])).astype(int).tolist()
    for (x, y), color in zip(spots, colors[inside].tolist(), strict=True):
        draw.rectangle((x, y, x + 1, y + 1), fill=tuple(color))
    wedges = [[tuple(corner) for corner in wedge] for wedge in place(corners).tolist()]
    draw.line([wedge[0] for wedge in wedges], fill=_PATH_COLOR, width=2)
    for wedge in wedges:
        draw.polygon(wedge, outline=_PATH_COLOR)
    return picture


def _wedges(cameras: Cameras) -> Array:
    """Return apex, left and right corner of every camera, `[V, 3, 2]`, as (x, z)."""
    poses = cameras.world_from_camera.numpy()
    centre, right, forward = (poses[:, [0, 2], column] for column in (3, 0, 2))
    # Half the photo's width at depth 1.
    half = (cameras.width / 2 / cameras.intrinsics[:, :1]).numpy()
    left_corner = centre + _CAMERA_LENGTH * (forward - half * right)
    right_corner = centre + _CAMERA_LENGTH * (forward + half * right)
    return np.stack([centre, left_corner, right_corner], axis=1)
