"""Poses as `transforms.json`, which nerfstudio, instant-ngp and `ovs3d new-scene` read."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from ovs3d.exports.coordinates import Frame
from ovs3d.poses.pose_readings import OPENGL
from ovs3d.space.cameras import Cameras


def transforms(cameras: Cameras, frame: Frame, images: Path, folder: Path) -> dict[str, Any]:
    """Return the file's content.

    Args:
        cameras: in the unit scene.
        frame: to write poses in; cameras have OpenGL axes (x right, y up, z backwards).
        images: folder of the photos.
        folder: the file will lie in; paths of photos are relative to it.
    """
    poses = frame.from_unit.poses(cameras.world_from_camera.numpy())
    frames = []
    for row, name in enumerate(cameras.names):
        pose = np.eye(4)
        pose[:3] = poses[row]
        pose[:3, :3] = pose[:3, :3] @ OPENGL
        fx, fy, cx, cy = cameras.intrinsics[row].tolist()
        k1, k2, p1, p2 = cameras.distortion[row].tolist()
        lens = {"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "k1": k1, "k2": k2, "p1": p1, "p2": p2}
        path = Path(os.path.relpath(images / name, folder)).as_posix()
        frames.append({"file_path": path, **lens, "transform_matrix": pose.tolist()})
    return {
        "camera_model": "OPENCV",
        "w": cameras.width,
        "h": cameras.height,
        "frame": frame.to_json(),
        "frames": frames,
    }
