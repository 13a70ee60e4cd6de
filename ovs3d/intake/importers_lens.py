"""The camera of a frame of `transforms.json`, whichever of the tools' keys describe it."""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ovs3d.errors import PosesError, SceneError
from ovs3d.photos.picture_files import upright_size
from ovs3d.poses.colmap_model import Lens

_FISHEYE = "OPENCV_FISHEYE"
_MODELS = (
    *("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "FULL_OPENCV"),
    *(_FISHEYE, "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "THIN_PRISM_FISHEYE"),
)
_SYNONYMS = {"PERSPECTIVE": "PINHOLE", "FISHEYE": _FISHEYE}
_FLAGS = ("latlong", "equirectangular", "orthographic", "is_orthographic", "is_equirectangular")
"""instant-ngp's words for cameras that are none of a lens."""
_ALIASES = {
    "fl_x": ("fx", "focal_x", "focal_length"),
    "fl_y": ("fy", "focal_y"),
    "cx": ("c_x", "principal_x"),
    "cy": ("c_y", "principal_y"),
    "w": ("width", "image_width"),
    "h": ("height", "image_height"),
}
_MATRIX_KEYS = ("intrinsics", "intrinsic_matrix", "camera_intrinsics", "K")
_MAX_SIDE = 1 << 20
_FTHETA = tuple(f"ftheta_p{power}" for power in range(5))
# A polynomial of another form follows an F-theta lens this closely, in pixels.
_FTHETA_ERROR = 0.25


def read_lens(values: Mapping[str, Any], photo: Path, where: str) -> Lens:
    """Read the camera of a frame.

    Args:
        values: keys of the frame, and of the file where the frame has none.
        photo: of the frame; its size counts where no other is given.
        where: what a message calls the frame.

    Raises:
        PosesError: the camera is of a kind that is not supported, or its numbers make no sense.
    """
    model = _model(values, where)
    values = _with_aliases(values)
    try:
        width, height = upright_size(photo)
    except SceneError as error:
        raise PosesError(str(error)) from None
    number = partial(_number, values, where)
    width, height = int(number("w", width)), int(number("h", height))
    if not 1 <= min(width, height) <= max(width, height) < _MAX_SIDE:
        raise PosesError(f"{where}: w and h are {width} and {height}, expected pixels of a photo")
    centre = (number("cx", width / 2), number("cy", height / 2))
    if _FTHETA[1] in values:
        return _ftheta(values, centre, (width, height), where)
    angle = number("camera_angle_x")
    fx = number("fl_x", width / 2 / math.tan(angle / 2) if angle else 0.0)
    angle = number("camera_angle_y")
    by_angle = height / 2 / math.tan(angle / 2) if angle and "fl_x" not in values else fx
    fy = number("fl_y", by_angle)
    if not min(fx, fy) > 0:
        raise PosesError(f"{where}: intrinsics are missing: neither fl_x nor camera_angle_x")
    k1, k2, k3, k4, p1, p2 = map(number, ("k1", "k2", "k3", "k4", "p1", "p2"))
    lens = (fx, fy, *centre)
    if model == "THIN_PRISM_FISHEYE":
        thin = (number("sx1"), number("sy1"))
        return Lens(model, (*lens, k1, k2, p1, p2, k3, k4, *thin), width, height)
    if "FISHEYE" in model:
        return Lens(_FISHEYE, (*lens, k1, k2, k3, k4), width, height)
    if k4:
        raise PosesError(f"{where}: distortion k4 is not supported; undistort the photos first")
    if k3:
        return Lens("FULL_OPENCV", (*lens, k1, k2, p1, p2, k3, 0, 0, 0), width, height)
    return Lens("OPENCV", (*lens, k1, k2, p1, p2), width, height)


def _model(values: Mapping[str, Any], where: str) -> str:
    flag = next((flag for flag in _FLAGS if values.get(flag)), None)
    told = str(values.get("camera_model") or "OPENCV").upper()
    model = _FISHEYE if values.get("is_fisheye") else _SYNONYMS.get(told, told)
    if flag or model not in _MODELS:
        raise PosesError(
            f"{where}: camera model {flag or values['camera_model']} is not supported; use one of "
            f"{', '.join(_MODELS)}, or cut perspective views out of the photos first"
        )
    return model


def _with_aliases(values: Mapping[str, Any]) -> dict[str, Any]:
    """Add the names of keys that this module uses, where a file has others."""
    result = dict(values)
    for key, others in _ALIASES.items():
        other = next((other for other in others if other in values), None)
        if other is not None:
            result.setdefault(key, values[other])
    matrix = next((values[key] for key in _MATRIX_KEYS if isinstance(values.get(key), list)), None)
    if matrix is not None and len(matrix) >= 3 and all(len(row) >= 3 for row in matrix[:2]):
        result.setdefault("fl_x", matrix[0][0])
        result.setdefault("fl_y", matrix[1][1])
        result.setdefault("cx", matrix[0][2])
        result.setdefault("cy", matrix[1][2])
    return result


def _ftheta(
    values: Mapping[str, Any], centre: tuple[float, float], size: tuple[int, int], where: str
) -> Lens:
    """Express an F-theta lens, which gives a ray's angle by powers of its distance in pixels.

    COLMAP's OPENCV_FISHEYE gives the distance by powers of the angle: fit over the photo.
    """
    powers = [_number(values, where, key) for key in _FTHETA]
    corners = np.array([[x, y] for x in (0, size[0]) for y in (0, size[1])], dtype=np.float64)
    radius = np.linspace(0, np.linalg.norm(corners - centre, axis=1).max(), 200)[1:]
    angle = np.polynomial.polynomial.polyval(radius, powers)
    odd = np.stack([angle ** (2 * power + 1) for power in range(5)], axis=1)
    scale = np.abs(odd).max(axis=0)
    fit = np.linalg.lstsq(odd / scale, radius, rcond=None)[0] / scale
    sound = angle.min() > 0 and (np.diff(angle) > 0).all() and angle.max() < np.pi and fit[0] > 0
    if not sound or np.abs(odd @ fit - radius).max() > _FTHETA_ERROR:
        raise PosesError(
            f"{where}: an F-theta lens (ftheta_p0 to ftheta_p4) that no fisheye model of COLMAP "
            "follows; undistort the photos first"
        )
    params = (fit[0], fit[0], *centre, *(fit[1:] / fit[0]))
    return Lens(_FISHEYE, tuple(float(value) for value in params), *size)


def _number(values: Mapping[str, Any], where: str, key: str, default: float = 0.0) -> float:
    value = default if values.get(key) is None else values[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise PosesError(f"{where}: {key} is {value!r}, expected a number")
    return float(value)
