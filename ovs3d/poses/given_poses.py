"""Poses that other tools made, in the one form in which a scene keeps them: a COLMAP model.

Every importer returns `GivenPoses`; `fit_to_photos` brings their cameras to the photos as they are;
stage poses reads the model back with `read_given` in place of running structure from motion.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pycolmap

from ovs3d.errors import PosesError
from ovs3d.photos.dataset import Photos, same_shape
from ovs3d.photos.picture_files import is_upright, stored_size, upright_size
from ovs3d.poses.colmap_model import move_points, read_model, resize
from ovs3d.poses.undistort import Undistortion, undistort
from ovs3d.space.distortion import expressible, from_colmap_camera
from ovs3d.space.normalise import Array

FOLDER = "poses"
"""Beside the photos, so that what depends on the photos depends on their poses too."""
COLMAP = "COLMAP"
"""The format of poses where none is noted beside them."""

_FORMAT_FILE = "format.txt"
# Entries of a matrix that is rounded miss those of a rotation by less.
_ROTATION_ERROR = 1e-3
# So many names of many are in a message.
_NAMED = 6


@dataclass(frozen=True, eq=False)
class GivenPoses:
    """Poses as read from a file.

    Attributes:
        origin: file or folder they came from, for messages.
        model: COLMAP model; may have no points.
        photos: name of an image of the model -> photo.
        without_pose: photos beside these that have no pose.
        masks: photo -> file that is dark where the photo is not to be looked at.
        format: whose conventions it follows, a key of `pose_readings.CONVENTIONS`.
        without_photo: photos that are named but not there, so that their poses stay out.
        val: photos that the source keeps for validation.
        test: photos that it keeps for the test.
        notes: what else the user should know.
    """

    origin: Path
    model: pycolmap.Reconstruction
    photos: Mapping[str, Path]
    without_pose: tuple[str, ...]
    masks: Mapping[Path, Path] = field(default_factory=dict)
    format: str = COLMAP
    without_photo: tuple[str, ...] = ()
    val: frozenset[Path] = frozenset()
    test: frozenset[Path] = frozenset()
    notes: tuple[str, ...] = ()


def proper_pose(matrix: object, where: str) -> Array:
    """Check a camera-to-world matrix and clean it of rounding and of a common scale.

    Args:
        matrix: numbers `[3, 4]` or `[4, 4]`.
        where: what a message calls it.

    Returns:
        `[3, 4]` with a rotation.

    Raises:
        PosesError: it has another shape, or takes cameras to anything but a turned and moved copy.
    """
    try:
        pose = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        raise PosesError(f"{where}: the pose is no matrix of numbers") from None
    if pose.shape not in ((3, 4), (4, 4)):
        raise PosesError(f"{where}: the pose has shape {pose.shape}, expected 3 x 4 or 4 x 4")
    turn, centre = pose[:3, :3], pose[:3, 3]
    if not np.isfinite(pose).all():
        raise PosesError(f"{where}: the pose has values that are no finite numbers")
    determinant = np.linalg.det(turn)
    if abs(determinant) < 1e-9:
        raise PosesError(f"{where}: the pose cannot be inverted (determinant {determinant:.1g})")
    if determinant < 0:
        raise PosesError(
            f"{where}: the pose mirrors (determinant {determinant:.3g}); its axes are left-handed: "
            "negate the column of the one that points the wrong way"
        )
    turn = turn / determinant ** (1 / 3)
    left, _, right = np.linalg.svd(turn)
    if np.abs(left @ right - turn).max() > _ROTATION_ERROR:
        raise PosesError(f"{where}: the pose shears or stretches; its 3 x 3 part is no rotation")
    return np.concatenate([left @ right, centre[:, None]], axis=1)


def fit_to_photos(given: GivenPoses) -> dict[Path, Undistortion | None]:
    """Bring the cameras of poses to their photos, which may be smaller than those posed, in place.

    Returns:
        The photos that have to be written anew: as they are stored, those that EXIF turns although
        their poses mean the stored pixels (None); by the pinhole camera that takes the place of
        their lens, those whose lens the project's cameras cannot express (the way to redraw them).

    Raises:
        PosesError: a photo is of another shape than its camera, or a camera cannot be used.
    """
    rewrite: dict[Path, Undistortion | None] = {}
    for camera in given.model.cameras.values():
        where = f"{given.origin}: camera {camera.camera_id}"
        photos = [
            given.photos[image.name]
            for image in given.model.images.values()
            if image.camera_id == camera.camera_id and image.name in given.photos
        ]
        if not photos:
            continue
        posed = (camera.width, camera.height)
        # COLMAP ignores the tag; other tools write the photo upright before they pose it.
        rewrite |= {
            photo: None
            for photo in photos
            if not is_upright(photo) and same_shape(stored_size(photo), posed)
        }
        sizes = [
            stored_size(photo) if photo in rewrite else upright_size(photo) for photo in photos
        ]
        for photo, size in zip(photos, sizes, strict=True):
            if not same_shape(size, posed) or size != sizes[0]:
                raise PosesError(
                    f"{photo}: {size[0]} x {size[1]} pixels, but its camera in {given.origin} has "
                    f"{posed[0]} x {posed[1]}"
                )
        resize(given.model, camera, sizes[0])
        if not expressible(camera.model_name, camera.params):
            change = undistort(camera, where)
            move_points(given.model, camera, change.move)
            rewrite |= dict.fromkeys(photos, change)
        _check_lens(camera, where)
    return rewrite


def read_given(folder: Path, photos: Photos) -> pycolmap.Reconstruction:
    """Read the model that a scene brings along and check that it is of its photos.

    Args:
        folder: `FOLDER` of the scene's photos.
        photos: the scene's photos.

    Returns:
        The model; its images have the photos' names.

    Raises:
        PosesError: photos and poses do not match one to one, or the model cannot be used.
    """
    model = read_model(folder)
    images = [model.image(image_id) for image_id in model.reg_image_ids()]
    _match_one_to_one({image.name for image in images}, set(photos.names), folder)
    for image in images:
        _check_lens(image.camera, f"{folder}: image {image.name}")
        size = (image.camera.width, image.camera.height)
        if size != (photos.width, photos.height):
            raise PosesError(
                f"{folder}: image {image.name}: its camera has {size[0]} x {size[1]} pixels, its "
                f"photo {photos.width} x {photos.height}"
            )
    return model


def write_format(given: GivenPoses, folder: Path) -> None:
    """Note beside a scene's model whose conventions it came in."""
    (folder / _FORMAT_FILE).write_text(given.format + "\n")


def read_format(folder: Path) -> str:
    """Return the format that the poses of a scene came in; COLMAP's, if nothing says otherwise."""
    file = folder / _FORMAT_FILE
    return file.read_text().strip() if file.is_file() else COLMAP


def natural(text: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbers in names by their value."""
    parts: list[str] = re.findall(r"\d+|\D+", text)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def name_some(names: Sequence[str]) -> str:
    """Join names for a message, the first few of many."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _match_one_to_one(posed: set[str], photos: set[str], folder: Path) -> None:
    lost = {"poses without a photo": posed - photos, "photos without a pose": photos - posed}
    problems = [f"{what}: {name_some(sorted(names))}" for what, names in lost.items() if names]
    if problems:
        raise PosesError(
            f"{folder}: poses and photos do not match one to one; {'; '.join(problems)}"
        )


def _check_lens(camera: pycolmap.Camera, where: str) -> None:
    try:
        focal = from_colmap_camera(camera.model_name, camera.params)[0][:2]
    except PosesError as error:
        raise PosesError(f"{where}: {error}") from None
    if not (np.isfinite(camera.params).all() and min(focal) > 0):
        raise PosesError(f"{where}: no usable intrinsics ({camera.params_to_string()})")
