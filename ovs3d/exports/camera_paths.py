"""Cameras to render from that took no photo: an orbit, a file of poses, a COLMAP model."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ovs3d.errors import PosesError
from ovs3d.exports.coordinates import Frame, inverse
from ovs3d.exports.flight import path_cameras
from ovs3d.poses.colmap_model import read_model
from ovs3d.poses.given_poses import proper_pose
from ovs3d.poses.pose_readings import OPENGL
from ovs3d.space.cameras import Cameras
from ovs3d.space.distortion import from_colmap_camera
from ovs3d.space.normalise import Array, focus

_DOWN = np.array([0.0, 1.0, 0.0])
"""Of the unit scene, see `ovs3d.space.cameras`."""


def orbit(cameras: Cameras, frames: int) -> Cameras:
    """Make cameras on a level circle around what the photos look at, all looking at it.

    Distance and height are the photos' means; the circle begins at their mean direction.

    Args:
        cameras: of the photos.
        frames: number of cameras to make.
    """
    poses = cameras.world_from_camera.numpy()
    middle = focus(poses)
    arms = poses[:, :, 3] - middle
    height = float((arms @ _DOWN).mean())
    level = arms - np.outer(arms @ _DOWN, _DOWN)
    radius = max(float(np.linalg.norm(level, axis=1).mean()), 1e-6)
    # Where the photos stand all around, their mean direction may vanish: any will do.
    start = level.mean(axis=0) if np.linalg.norm(level.mean(axis=0)) > 1e-6 else level[0]
    start = radius * start / max(float(np.linalg.norm(start)), 1e-9)
    side = np.cross(_DOWN, start)
    angles = np.linspace(0, 2 * np.pi, frames, endpoint=False)[:, None]
    centres = middle + height * _DOWN + np.cos(angles) * start + np.sin(angles) * side
    forward = middle - centres
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    right = np.cross(_DOWN, forward)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    down = np.cross(forward, right)
    return path_cameras(cameras, np.stack([right, down, forward, centres], axis=2))


def read_path(path: Path, frame: Frame, cameras: Cameras) -> Cameras:
    """Read cameras from a file in the form of `transforms.json`, or from a COLMAP model.

    Args:
        path: JSON file, or folder of the model. Photos need not exist. In a JSON file, frames
            without intrinsics get the mean ones of the scene.
        frame: in which the poses are.
        cameras: of the scene; what comes back has their bounds.

    Raises:
        PosesError: there is nothing, or it cannot be used.
    """
    if not path.exists():
        raise PosesError(f"{path}: no such file or folder; --cameras takes photos, orbit or flight")
    read = _read_colmap if path.is_dir() else _read_json
    names, poses, lenses, size = read(path, cameras)
    intrinsics, distortion = torch.from_numpy(lenses).split(4, dim=1)
    return replace(
        path_cameras(cameras, inverse(frame.from_unit).poses(poses)),
        names=tuple(names),
        intrinsics=intrinsics.contiguous(),
        distortion=distortion.contiguous(),
        width=size[0],
        height=size[1],
    )


_Read = tuple[list[str], Array, Array, tuple[int, int]]
"""Names, poses `[V, 3, 4]` with OpenCV axes, fx, fy, cx, cy, k1, k2, p1, p2 `[V, 8]`, size."""


def _read_colmap(folder: Path, _: Cameras) -> _Read:
    model = read_model(folder)
    images = sorted((model.image(i) for i in model.reg_image_ids()), key=lambda image: image.name)
    if not images:
        raise PosesError(f"{folder}: no image has a pose")
    sizes = {(image.camera.width, image.camera.height) for image in images}
    if len(sizes) > 1:
        raise PosesError(f"{folder}: cameras of {len(sizes)} sizes; all pictures must have one")
    lenses = [from_colmap_camera(image.camera.model_name, image.camera.params) for image in images]
    poses = np.stack([image.cam_from_world().inverse().matrix() for image in images])
    return [i.name for i in images], poses, np.array([a + b for a, b in lenses]), sizes.pop()


def _read_json(file: Path, cameras: Cameras) -> _Read:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
        frames = content["frames"]
        size = (int(content.get("w", cameras.width)), int(content.get("h", cameras.height)))
        mean = cameras.intrinsics.mean(dim=0).tolist()
        # Where the file has another size, the same field of view.
        sides = (size[0] / cameras.width, size[1] / cameras.height) * 2
        default = [value * side for value, side in zip(mean, sides, strict=True)]
        lenses = [_lens({**content, **each}, default) for each in frames]
        matrices = [each["transform_matrix"] for each in frames]
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise PosesError(f"{file}: not in the form of transforms.json ({error!r})") from None
    if not frames or min(size) < 1:
        raise PosesError(f"{file}: no frames in it, or no size")
    poses = []
    for index, matrix in enumerate(matrices):
        pose = proper_pose(matrix, f"{file}: frame number {index}")
        pose[:, :3] = pose[:, :3] @ OPENGL
        poses.append(pose)
    names = [str(each.get("file_path", index)) for index, each in enumerate(frames)]
    return names, np.stack(poses), np.array(lenses), size


def _lens(values: dict[str, Any], default: Sequence[float]) -> list[float]:
    """Return fx, fy, cx, cy, k1, k2, p1, p2; `default` has the first four."""
    focal = default[:2]
    if "fl_x" in values:
        focal = [values["fl_x"], values.get("fl_y", values["fl_x"])]
    centre = [values.get("cx", default[2]), values.get("cy", default[3])]
    distortion = [values.get(key, 0.0) for key in ("k1", "k2", "p1", "p2")]
    return [float(value) for value in (*focal, *centre, *distortion)]
