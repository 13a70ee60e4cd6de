"""The points that COLMAP found, as splats: what there is to see before there is a field."""

import json
from pathlib import Path

import numpy as np
import pycolmap

from ovs3d.errors import PosesError, one_line
from ovs3d.space.cameras import Cameras
from ovs3d.space.normalise import COLMAP_FOLDER, TRANSFORM_FILE, Similarity
from ovs3d.viewer.splats import Splats

_PIXELS = 3.0
"""Half the side of a point, in pixels of the photos, at the middle of the scene's depths."""


def sparse_splats(poses: Path, cameras: Cameras) -> Splats:
    """Read the sparse points.

    Args:
        poses: folder of stage poses.
        cameras: that it wrote.

    Raises:
        PosesError: the folder is damaged.
    """
    folder = poses / COLMAP_FOLDER
    try:
        model = pycolmap.Reconstruction(folder)
        similarity = Similarity.from_json(json.loads((poses / TRANSFORM_FILE).read_text()))
    # COLMAP's own checks and its file readers raise several types.
    except Exception as error:
        raise PosesError(
            f"{folder}: cannot be read ({one_line(error)}); run stage poses again"
        ) from None
    points = [model.point3D(number) for number in sorted(model.point3D_ids())]
    positions = similarity.points(np.array([point.xyz for point in points]).reshape(-1, 3))
    focal = float(cameras.intrinsics[:, 0].mean())
    radius = _PIXELS * (cameras.near + cameras.far) / 2 / focal
    return Splats(
        positions.astype(np.float32),
        np.full(len(points), radius, dtype=np.float32),
        np.array([point.color for point in points], dtype=np.uint8).reshape(-1, 3),
        np.zeros((len(points), 0), dtype=np.float16),
    )
