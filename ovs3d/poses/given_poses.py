"""Poses that other tools made, in the one form in which a scene keeps them: a COLMAP model.

Every importer returns `GivenPoses`; `fit_to_photos` brings their cameras to the photos as they are;
stage poses reads the model back with `read_given` in place of running structure from motion.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pycolmap

from ovs3d.errors import PosesError, one_line
from ovs3d.photos.dataset import Photos, same_shape
from ovs3d.photos.picture_files import is_upright, stored_size, upright_size
from ovs3d.poses.colmap import quiet
from ovs3d.poses.colmap_trial import try_reading
from ovs3d.poses.undistort import Undistortion, undistort
from ovs3d.space.cameras import expressible, from_colmap_camera
from ovs3d.space.normalise import Array

FOLDER = "poses"
"""Beside the photos, so that what depends on the photos depends on their poses too."""

COLMAP = "COLMAP"
"""The format whose conventions a model follows that nobody says more of."""

_FORMAT_FILE = "format.txt"

# Rounding of exported matrices; anything above is no rotation.
_ROTATION_ERROR = 1e-3
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


@dataclass(frozen=True)
class Lens:
    """A camera by COLMAP's names: its model, its parameters, and its photo's size in pixels."""

    model: str
    params: tuple[float, ...]
    width: int
    height: int


def build_model(
    names: Sequence[str], lenses: Sequence[Lens], world_from_camera: Sequence[Array]
) -> pycolmap.Reconstruction:
    """Build a COLMAP model without points.

    Args:
        names: of the images.
        lenses: of the images; equal ones become one camera.
        world_from_camera: of the images, each `[3, 4]` with a proper rotation, OpenCV axes.
    """
    model = pycolmap.Reconstruction()
    ids = {lens: index for index, lens in enumerate(dict.fromkeys(lenses), start=1)}
    for lens, camera_id in ids.items():
        camera = pycolmap.Camera(
            model=lens.model,
            params=lens.params,
            width=lens.width,
            height=lens.height,
            camera_id=camera_id,
        )
        model.add_camera_with_trivial_rig(camera)
    posed = zip(names, lenses, world_from_camera, strict=True)
    for image_id, (name, lens, pose) in enumerate(posed, start=1):
        image = pycolmap.Image(name=name, camera_id=ids[lens], image_id=image_id)
        world = pycolmap.Rigid3d(pycolmap.Rotation3d(pose[:, :3]), pose[:, 3])
        model.add_image_with_trivial_frame(image, world.inverse())
    return model


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
        The photos that have to be written anew, as they are stored, whatever their EXIF says: those
        that it turns although their poses mean the stored pixels, and those of a lens that cannot
        be expressed, with the way to redraw them by the pinhole camera that takes its place.

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
        _resize(given.model, camera, sizes[0])
        if not expressible(camera.model_name, camera.params):
            change = undistort(camera, where)
            _move_points(given.model, camera, change.move)
            rewrite |= dict.fromkeys(photos, change)
        _check_lens(camera, where)
    return rewrite


def read_model(folder: Path) -> pycolmap.Reconstruction:
    """Read a COLMAP model, binary or text.

    Raises:
        PosesError: it is none, or damaged.
    """
    problem = try_reading(folder) if (folder / "images.bin").is_file() else None
    if problem:
        raise PosesError(f"{folder}: cannot be read as a COLMAP model ({one_line(problem)})")
    try:
        with quiet():
            model = pycolmap.Reconstruction(folder)
    # COLMAP's own checks and its file readers raise several types.
    except Exception as error:
        reason = one_line(error)
        raise PosesError(f"{folder}: cannot be read as a COLMAP model ({reason})") from None
    try:
        _ = [image.name for image in model.images.values()]
    except UnicodeDecodeError:
        raise PosesError(f"{folder}: the name of an image is no UTF-8 text") from None
    for image_id in model.reg_image_ids():
        image = model.image(image_id)
        pose = image.cam_from_world()
        if not np.isfinite(pose.matrix()).all() or not np.linalg.norm(pose.rotation.quat) > 0.5:
            raise PosesError(f"{folder}: image {image.name}: the pose cannot be inverted")
    return model


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
    images = {image_id: model.image(image_id) for image_id in model.reg_image_ids()}
    named = {image.name for image in images.values()}
    _match_one_to_one(named, set(photos.names), folder)
    for image in images.values():
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


def rebuild(images: Sequence[pycolmap.Image]) -> pycolmap.Reconstruction:
    """Build a model of some images of another, without rigs and points."""
    cameras = [image.camera for image in images]
    return build_model(
        [image.name for image in images],
        [Lens(c.model_name, tuple(c.params), c.width, c.height) for c in cameras],
        [image.cam_from_world().inverse().matrix() for image in images],
    )


def with_projections(model: pycolmap.Reconstruction, most: int) -> pycolmap.Reconstruction:
    """Return a model whose points are seen by every photo that they lie before, hidden or not.

    Args:
        model: its tracks are left out.
        most: of its points, taken evenly.
    """
    images = [image for image in model.images.values() if image.has_pose]
    result = rebuild(images)
    ids = sorted(model.point3D_ids())
    ids = ids[:: max(1, -(-len(ids) // most))]
    points = np.array([model.point3D(point_id).xyz for point_id in ids])
    tracks = [pycolmap.Track() for _ in ids]
    for image_id, image in enumerate(images, start=1):
        camera, seen = image.camera, image.cam_from_world() * points
        ahead = np.flatnonzero(seen[:, 2] > 0)
        xy = camera.img_from_cam(seen[ahead])
        inside = ((xy >= 0) & (xy <= (camera.width, camera.height))).all(axis=1)
        result.image(image_id).points2D = [pycolmap.Point2D(point) for point in xy[inside]]
        for place, index in enumerate(ahead[inside].tolist()):
            tracks[index].add_element(image_id, place)
    for point_id, xyz, track in zip(ids, points, tracks, strict=True):
        if track.length():
            result.add_point3D(xyz, track, model.point3D(point_id).color)
    result.update_point_3d_errors()
    return result


def natural(text: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbers in names by their value."""
    parts: list[str] = re.findall(r"\d+|\D+", text)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def name_some(names: Sequence[str]) -> str:
    """Join names for a message, the first few of many."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _resize(model: pycolmap.Reconstruction, camera: pycolmap.Camera, size: tuple[int, int]) -> None:
    scale = np.array(size) / (camera.width, camera.height)
    if (scale != 1).any():
        camera.rescale(*size)
        _move_points(model, camera, lambda xy: xy * scale)


def enlarge(model: pycolmap.Reconstruction, side: int) -> None:
    """Let cameras see photos that were put into the middle of a square of this side."""
    for camera in model.cameras.values():
        shift = np.array([(side - camera.width) // 2, (side - camera.height) // 2])
        camera.width = camera.height = side
        camera.principal_point_x += shift[0]
        camera.principal_point_y += shift[1]
        _move_points(model, camera, lambda xy, shift=shift: xy + shift)  # type: ignore[misc]


def _move_points(
    model: pycolmap.Reconstruction, camera: pycolmap.Camera, move: Callable[[Array], Array]
) -> None:
    """Move what the images of a camera have observed."""
    for image in model.images.values():
        if image.camera_id == camera.camera_id and image.num_points2D():
            moved = move(np.array([point.xy for point in image.points2D]))
            for point, xy in zip(image.points2D, moved, strict=True):
                point.xy = xy
    model.update_point_3d_errors()


def _match_one_to_one(posed: set[str], photos: set[str], folder: Path) -> None:
    problems = [
        f"{what}: {name_some(sorted(names))}"
        for what, names in (
            ("poses without a photo", posed - photos),
            ("photos without a pose", photos - posed),
        )
        if names
    ]
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
