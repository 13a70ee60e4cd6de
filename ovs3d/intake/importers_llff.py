"""LLFF's `poses_bounds.npy`, which NeRF, the 3D-OVS dataset and many others use.

One row of 17 numbers per photo, photos sorted by name: a 3 x 5 matrix, row by row, then the nearest
and the farthest depth. The matrix is camera-to-world with the camera's axes in the order down,
right, backwards, then the centre, then height, width and focal length in pixels. The principal
point is the middle; there is no distortion.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ovs3d.errors import PosesError, one_line
from ovs3d.poses.colmap_model import Lens, build_model
from ovs3d.poses.given_poses import GivenPoses, proper_pose
from ovs3d.space.normalise import Array

FILE = "poses_bounds.npy"
_COLUMNS = 17


def read_llff(file: Path, photos: Sequence[Path]) -> GivenPoses:
    """Read the poses of a folder's photos.

    Args:
        file: `poses_bounds.npy`.
        photos: all photos of the folder, sorted by name.

    Raises:
        PosesError: the file is something else, has another number of rows than there are photos,
            or a pose or focal length that makes no sense.
    """
    rows = _load(file)
    if len(rows) != len(photos):
        raise PosesError(
            f"{file}: {len(rows)} poses, but {photos[0].parent} has {len(photos)} photos "
            f"({photos[0].name} to {photos[-1].name}); they go together by sorted name, one to one"
        )
    lenses, poses = [], []
    for photo, row in zip(photos, rows, strict=True):
        where = f"{file}: pose of {photo.name}"
        matrix = row[:15].reshape(3, 5)
        down, right, backwards, centre, size = matrix.T
        height, width, focal = size.tolist()
        if not min(height, width, focal) > 0:
            raise PosesError(f"{where}: no usable intrinsics ({height} x {width}, focal {focal})")
        pose = np.stack([right, down, -backwards, centre], axis=1)
        poses.append(proper_pose(pose, where))
        middle = (width / 2, height / 2)
        lenses.append(Lens("SIMPLE_PINHOLE", (focal, *middle), round(width), round(height)))
    names = [photo.name for photo in photos]
    model = build_model(names, lenses, poses)
    return GivenPoses(file, model, dict(zip(names, photos, strict=True)), (), format=FILE)


def _load(file: Path) -> Array:
    try:
        rows = np.load(file, allow_pickle=False)
    # The header is Python, and NumPy lets the parser's errors through.
    except Exception as error:
        reason = one_line(error)
        raise PosesError(f"{file}: cannot be read as a NumPy array ({reason})") from None
    if rows.ndim != 2 or rows.shape[1] != _COLUMNS or rows.dtype.kind not in "fiu":
        raise PosesError(
            f"{file}: {rows.dtype} array of shape {rows.shape}; expected {_COLUMNS} numbers a photo"
        )
    return np.asarray(rows, dtype=np.float64)
