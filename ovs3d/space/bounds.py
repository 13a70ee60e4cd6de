"""Where the content of a scene lies, as far as some of its views show it.

Poses, and with them the frame and the scale of the unit scene, come from all photos. What is fitted
to the sparse points beyond that must not know those that only held-out photos show.
"""

import json
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pycolmap

from ovs3d.errors import PosesError, one_line
from ovs3d.space.cameras import Cameras
from ovs3d.space.normalise import COLMAP_FOLDER, TRANSFORM_FILE, Similarity, find_bounds


def bounded_by(cameras: Cameras, poses: Path, views: Collection[int]) -> Cameras:
    """Return all cameras with near, far and box of the points as some views show them.

    Args:
        cameras: of the scene.
        poses: folder of stage poses, which they come from.
        views: photo indices; those without a pose are passed over. If none has one, there is
            nothing to go by, and the cameras stay as they are.

    Raises:
        PosesError: the folder is damaged, or the views show no point.
    """
    placed = [view for view in cameras.views if view in set(views)]
    if not placed:
        return cameras
    rows = [cameras.row_of(view) for view in placed]
    folder = poses / COLMAP_FOLDER
    try:
        model = pycolmap.Reconstruction(folder)
        similarity = Similarity.from_json(json.loads((poses / TRANSFORM_FILE).read_text()))
        named = {image.name: image for image in model.images.values()}
        images = [named[cameras.names[row]] for row in rows]
    # COLMAP's own checks and its file readers raise several types.
    except Exception as error:
        raise PosesError(
            f"{folder}: cannot be read ({one_line(error)}); restore it with `dvc checkout` or "
            "`dvc pull`, or run stage poses again"
        ) from None
    observed = [[p.point3D_id for p in image.get_observation_points2D()] for image in images]
    shown = {point_id for point_ids in observed for point_id in point_ids}
    if not shown:
        raise PosesError(
            f"{folder}: no training view shows any of the sparse points; list fewer val_views or "
            "test_views"
        )
    # Points that no view shows came with the poses of the scene and tell of no photo.
    tracks = {point_id: model.point3D(point_id).track for point_id in model.point3D_ids()}
    kept = [i for i in sorted(tracks) if i in shown or not tracks[i].length()]
    position = {point_id: index for index, point_id in enumerate(kept)}
    bounds = find_bounds(
        cameras.world_from_camera[rows].numpy(),
        similarity.points(np.array([model.point3D(point_id).xyz for point_id in kept])),
        [np.array([position[i] for i in point_ids], np.int64) for point_ids in observed],
    )
    return cameras.within(bounds)
