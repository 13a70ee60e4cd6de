"""Which space a scene gets, and how it is fitted to the cameras and the sparse points."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ovs3d.errors import ParamsError
from ovs3d.space.cameras import Cameras
from ovs3d.space.normalise import focus
from ovs3d.space.space import NEAR_PLANE, Space, Triple

SpaceKind = Literal["ndc", "bounded", "contracted"]

# NDC reaches this many times as far as the content.
_FAR_MARGIN = 4 / 3
# A ray nearer than this to perpendicular (cosine with the +z axis) does not face forward.
_MIN_FORWARD = 0.15
# Boxes are larger than the points by this share of a side at either end; rays start nearer by it.
_BOX_MARGIN = 0.1
# Half the side of the inner box relative to how far the cameras are from what they look at.
_INNER_SHARE = 0.5
# Space is kept up to this many times as far out as the sparse points reach.
_OUTER_MARGIN = 2.0
# The inner box is no flatter than this.
_MIN_SIDE = 0.1


def choose_space(cameras: Cameras, kind: Literal["auto"] | SpaceKind) -> Space:
    """Choose the space of a scene and fit it to its cameras.

    `auto` takes

    - `ndc` if every ray of every camera faces along the world's +z, and the sparse points lie
      beyond its near plane,
    - else `bounded` if the sparse points lie no farther, along any axis, from the point that the
      cameras look at than the cameras do on average,
    - else `contracted`.

    Args:
        cameras: registered cameras that are trained on, in the unit scene, with the bounds of what
            they show; NDC's near plane, at z = 1, is the unit scene's, which comes from all poses.
        kind: `auto`, or the space to take.

    Raises:
        ParamsError: `ndc` is asked for, but points lie before its near plane.
    """
    origins, directions = _border_rays(cameras)
    nearest = float(cameras.points_min[2])
    if kind == "auto":
        forward = directions[:, 2] / directions.norm(dim=1)
        faces_forward = bool((forward > _MIN_FORWARD).all())
        kind = "ndc" if faces_forward and nearest >= NEAR_PLANE else _around(cameras)
    if kind == "ndc":
        if nearest < NEAR_PLANE:
            raise ParamsError(
                "reconstruct.space: ndc is for cameras that face one way, and its near plane lies "
                f"at z = {NEAR_PLANE:g}, but points of this scene lie at {nearest:.2g}; use auto, "
                "bounded or contracted"
            )
        return _fit_ndc(cameras, origins, directions)
    return _fit_box(cameras) if kind == "bounded" else _fit_contracted(cameras)


def _around(cameras: Cameras) -> SpaceKind:
    """Choose the space of cameras that do not all face forward."""
    middle, distance = _looked_at(cameras)
    corners = torch.stack([cameras.points_min, cameras.points_max])
    return "bounded" if float((corners - middle).abs().max()) <= distance else "contracted"


def _looked_at(cameras: Cameras) -> tuple[Tensor, float]:
    """Return the point `[3]` that the cameras look at, and their mean distance from it."""
    poses = cameras.world_from_camera.cpu().numpy()
    middle = focus(poses)
    distance = np.linalg.norm(poses[:, :, 3] - middle, axis=1).mean()
    return torch.from_numpy(middle), float(distance)


def _fit_ndc(cameras: Cameras, origins: Tensor, directions: Tensor) -> Space:
    fx, fy = cameras.intrinsics[:, :2].mean(dim=0).tolist()
    slope = (2 * fx / cameras.width, 2 * fy / cameras.height)
    aspect = slope[0] / slope[1]
    whole = Space("ndc", (-1.0,) * 3, (1.0,) * 3, slope, (1.0,) * 3, NEAR_PLANE)
    first, vanishing, _ = whole._ndc_ends(origins, directions)
    far = max(cameras.far, float(cameras.points_max[2])) * _FAR_MARGIN
    z_far = 1 - 2 * NEAR_PLANE / max(far, 2 * NEAR_PLANE)
    last = first + (vanishing - first) * ((z_far + 1) / 2)
    ends = torch.cat([first, last])
    low, high = ends.amin(dim=0).tolist(), ends.amax(dim=0).tolist()
    lower, upper = (low[0], low[1], -1.0), (high[0], high[1], z_far)
    extent = (high[0] - low[0], (high[1] - low[1]) * aspect, z_far + 1)
    return Space("ndc", lower, upper, slope, extent, NEAR_PLANE)


def _fit_box(cameras: Cameras) -> Space:
    low, high = cameras.points_min, cameras.points_max
    margin = (high - low) * _BOX_MARGIN
    lower, upper = low - margin, high + margin
    near = cameras.near * (1 - _BOX_MARGIN)
    sides = _triple(upper - lower)
    return Space("bounded", _triple(lower), _triple(upper), (1.0, 1.0), sides, near)


def _fit_contracted(cameras: Cameras) -> Space:
    """Fit the inner box to what the cameras look at, the outer one to all sparse points."""
    middle, distance = _looked_at(cameras)
    poses = cameras.world_from_camera
    depth = float(((middle - poses[:, :, 3]) * poses[:, :, 2]).sum(dim=1).mean())
    # Cameras inside a room look past that point, or away from it: then all that they see is at
    # least so far from it.
    reach = max(_INNER_SHARE * distance, cameras.near - depth)
    margin = (cameras.points_max - cameras.points_min) * _BOX_MARGIN
    low = torch.maximum(middle - reach, cameras.points_min - margin)
    high = torch.minimum(middle + reach, cameras.points_max + margin)
    # A side without points gets the whole reach.
    empty = high - low < _MIN_SIDE * reach
    low, high = torch.where(empty, middle - reach, low), torch.where(empty, middle + reach, high)
    centre, radius = (low + high) / 2, (high - low) / 2
    corners = torch.stack([cameras.points_min, cameras.points_max])
    far = ((corners - centre) / radius * _OUTER_MARGIN).abs().clamp_min(1)
    # Along an axis of its own a point contracts to 2 - 1 / distance.
    lower, upper = _triple(-(2 - 1 / far[0])), _triple(2 - 1 / far[1])
    extent = _triple((2 - 1 / far[0] + 2 - 1 / far[1]) * radius)
    near = cameras.near * (1 - _BOX_MARGIN)
    inner = _triple(centre), _triple(radius)
    return Space("contracted", lower, upper, (1.0, 1.0), extent, near, *inner)


def _triple(values: Tensor) -> Triple:
    x, y, z = values.tolist()
    return x, y, z


def _border_rays(cameras: Cameras) -> tuple[Tensor, Tensor]:
    """Return the rays through corners and side centres of all photos, float64 `[8 V, 3]` twice."""
    x, y = float(cameras.width), float(cameras.height)
    steps = [(0, 0), (0.5, 0), (1, 0), (1, 0.5), (1, 1), (0.5, 1), (0, 1), (0, 0.5)]
    xy = torch.tensor([(a * x, b * y) for a, b in steps])
    rays = [cameras.rays(view, xy) for view in cameras.views]
    origins = torch.cat([origin for origin, _ in rays]).double()
    return origins, torch.cat([direction for _, direction in rays]).double()
