"""How lenses bend: COLMAP's cameras in the terms of OpenCV's model, and this model itself.

Rays are points (x, y) of the plane z = 1 of a camera, where the centre of the picture is near
(0, 0) and a lens without distortion changes nothing.
"""

from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor

from ovs3d.errors import PosesError
from ovs3d.sections import CameraModel

CAMERA_MODELS: tuple[str, ...] = get_args(CameraModel)

# Newton's method squares the error: from a tenth of the image to 1e-9 px in five steps.
_STEPS = 8


def expressible(model: str, params: Sequence[float]) -> bool:
    """Tell whether `from_colmap_camera` takes a camera.

    A FULL_OPENCV camera without its terms of higher order is an OPENCV one.
    """
    return model in CAMERA_MODELS or (model == "FULL_OPENCV" and not any(params[8:]))


def from_colmap_camera(model: str, params: Sequence[float]) -> tuple[list[float], list[float]]:
    """Turn COLMAP's parameters of one camera into fx, fy, cx, cy and k1, k2, p1, p2.

    Raises:
        PosesError: the camera is not `expressible`.
    """
    if not expressible(model, params):
        raise PosesError(
            f"camera model {model} is not supported; use one of {', '.join(CAMERA_MODELS)}"
        )
    # The first eight of FULL_OPENCV are those of OPENCV.
    values = [float(value) for value in params[:8]]
    # Models whose name starts with SIMPLE, and RADIAL, have one focal length for both axes.
    shared_focal = model in ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")
    focal = values[:1] * 2 if shared_focal else values[:2]
    rest = values[1:] if shared_focal else values[2:]
    extra = rest[2:]
    return focal + rest[:2], extra + [0.0] * (4 - len(extra))


def distort(plane: Tensor, distortion: Tensor) -> Tensor:
    """Apply the OpenCV distortion to points `[N, 2]` of the plane z = 1."""
    k1, k2, p1, p2 = distortion
    x, y = plane.unbind(dim=1)
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * k2)
    return torch.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        dim=1,
    )


def undistort(distorted: Tensor, distortion: Tensor) -> Tensor:
    """Invert `distort` with Newton's method."""
    if not distortion.any():
        return distorted
    k1, k2, p1, p2 = distortion
    plane = distorted
    for _ in range(_STEPS):
        x, y = plane.unbind(dim=1)
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * k2)
        slope = 2 * k1 + 4 * k2 * r2
        xx = radial + slope * x * x + 2 * p1 * y + 6 * p2 * x
        yy = radial + slope * y * y + 6 * p1 * y + 2 * p2 * x
        xy = slope * x * y + 2 * p1 * x + 2 * p2 * y
        error_x, error_y = (distort(plane, distortion) - distorted).unbind(dim=1)
        step = torch.stack([yy * error_x - xy * error_y, xx * error_y - xy * error_x], dim=1)
        plane = plane - step / (xx * yy - xy * xy)[:, None]
    return plane
