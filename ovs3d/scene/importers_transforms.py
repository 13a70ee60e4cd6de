"""`transforms.json` of nerfstudio, instant-ngp and the LERF dataset.

A frame has a camera-to-world matrix with OpenGL axes (x right, y up, z backwards). Intrinsics are
in pixels, with (0, 0) at the upper left corner of the picture, and stand in the frame or for all
frames at the top; distortion is OpenCV's.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ovs3d.errors import PosesError, SceneError
from ovs3d.scene.dataset import PHOTO_SUFFIXES, upright_size
from ovs3d.scene.given_poses import GivenPoses, Lens, build_model, proper_pose
from ovs3d.scene.intake import list_photos, register_heic

FILE = "transforms.json"

_FISHEYE = "OPENCV_FISHEYE"
_MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", _FISHEYE)
_MAX_SIDE = 1 << 20
_OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0])


def read_transforms(file: Path) -> GivenPoses:
    """Read the poses and photos that the file names.

    Raises:
        PosesError: the file is something else, names a photo that is not there or names it twice,
            or a frame has no intrinsics, a pose or a camera that makes no sense.
    """
    content = _load(file)
    photos: dict[str, Path] = {}
    lenses, poses = [], []
    for number, frame in enumerate(content["frames"]):
        name = str(frame.get("file_path", ""))
        photo = _find_photo(file, number, name)
        where = f"{file}: frame {name}"
        if photo in photos.values():
            raise PosesError(f"{where}: comes twice")
        lenses.append(_lens({**content, **frame}, photo, where))
        pose = proper_pose(frame.get("transform_matrix"), where)
        pose[:, :3] = pose[:, :3] @ _OPENCV_FROM_OPENGL
        poses.append(pose)
        photos[name] = photo
    folders = {photo.parent for photo in photos.values()}
    beside = {path for folder in folders for path in list_photos(folder)}
    unposed = tuple(sorted(path.name for path in beside - set(photos.values())))
    return GivenPoses(file, build_model(list(photos), lenses, poses), photos, unposed)


def _load(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise PosesError(f"{file}: no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise PosesError(f"{file}: cannot be read as JSON ({error})") from None
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, list) or not frames or not all(isinstance(f, dict) for f in frames):
        raise PosesError(f"{file}: no frames in it")
    return dict(content)


def _find_photo(file: Path, number: int, name: str) -> Path:
    """Return the photo of a frame; some tools leave out its suffix."""
    if not name:
        raise PosesError(f"{file}: frame number {number}: no file_path")
    path = file.parent / name.replace("\\", "/")
    for candidate in (path, *(path.with_name(path.name + suffix) for suffix in PHOTO_SUFFIXES)):
        # Unlike `is_file` of a path, also if the name is too long for the file system.
        if os.path.isfile(candidate):  # noqa: PTH113
            register_heic([candidate])
            return candidate
    raise PosesError(f"{file}: frame {name}: there is no such photo (looked for {path})")


def _lens(values: Mapping[str, Any], photo: Path, where: str) -> Lens:
    model = _FISHEYE if values.get("is_fisheye") else values.get("camera_model", "OPENCV")
    if model not in _MODELS:
        raise PosesError(
            f"{where}: camera model {model} is not supported; use one of {', '.join(_MODELS)}"
        )
    try:
        width, height = upright_size(photo)
    except SceneError as error:
        raise PosesError(str(error)) from None
    width, height = (
        int(_number(values, "w", width, where)),
        int(_number(values, "h", height, where)),
    )
    if not 1 <= min(width, height) <= max(width, height) < _MAX_SIDE:
        raise PosesError(f"{where}: w and h are {width} and {height}, expected pixels of a photo")
    angle = _number(values, "camera_angle_x", 0.0, where)
    fx = _number(values, "fl_x", width / 2 / math.tan(angle / 2) if angle else 0.0, where)
    angle = _number(values, "camera_angle_y", 0.0, where)
    by_angle = height / 2 / math.tan(angle / 2) if angle and "fl_x" not in values else fx
    fy = _number(values, "fl_y", by_angle, where)
    if not min(fx, fy) > 0:
        raise PosesError(f"{where}: intrinsics are missing: neither fl_x nor camera_angle_x")
    centre = (
        _number(values, "cx", width / 2, where),
        _number(values, "cy", height / 2, where),
    )
    lens = (fx, fy, *centre)
    k1, k2, k3, k4, p1, p2 = (
        _number(values, key, 0.0, where) for key in ("k1", "k2", "k3", "k4", "p1", "p2")
    )
    if model == _FISHEYE:
        return Lens(_FISHEYE, (*lens, k1, k2, k3, k4), width, height)
    if k4:
        raise PosesError(f"{where}: distortion k4 is not supported; undistort the photos first")
    if k3:
        return Lens("FULL_OPENCV", (*lens, k1, k2, p1, p2, k3, 0, 0, 0), width, height)
    return Lens("OPENCV", (*lens, k1, k2, p1, p2), width, height)


def _number(values: Mapping[str, Any], key: str, default: float, where: str) -> float:
    value = values.get(key, default)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise PosesError(f"{where}: {key} is {value!r}, expected a number")
    return float(value)
