"""COLMAP models: built from poses, read, and brought to pictures of another size."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pycolmap

from ovs3d.errors import PosesError, one_line
from ovs3d.poses.colmap_trial import try_reading
from ovs3d.space.normalise import Array


@dataclass(frozen=True)
class Lens:
    """A camera by COLMAP's names: its model, its parameters, and its photo's size in pixels."""

    model: str
    params: tuple[float, ...]
    width: int
    height: int

    @staticmethod
    def of(camera: pycolmap.Camera) -> "Lens":
        """Return the lens of a camera, whose id and whose prior it leaves out."""
        return Lens(camera.model_name, tuple(camera.params), camera.width, camera.height)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep COLMAP's log off the terminal."""
    level = pycolmap.logging.minloglevel
    pycolmap.logging.minloglevel = pycolmap.logging.FATAL.value
    try:
        yield
    finally:
        pycolmap.logging.minloglevel = level


def build_model(
    names: Sequence[str], lenses: Sequence[Lens], world_from_camera: Sequence[Array] | Array
) -> pycolmap.Reconstruction:
    """Build a COLMAP model without points.

    Args:
        names: of the images.
        lenses: of the images; equal ones become one camera.
        world_from_camera: of the images, each `[3, 4]` with a proper rotation, OpenCV axes.
    """
    cameras = {
        lens: pycolmap.Camera(
            model=lens.model,
            params=lens.params,
            width=lens.width,
            height=lens.height,
            camera_id=camera_id,
        )
        for camera_id, lens in enumerate(dict.fromkeys(lenses), start=1)
    }
    worlds = [
        pycolmap.Rigid3d(pycolmap.Rotation3d(pose[:, :3]), pose[:, 3]) for pose in world_from_camera
    ]
    return assemble(names, [cameras[lens] for lens in lenses], [pose.inverse() for pose in worlds])


def assemble(
    names: Sequence[str],
    cameras: Sequence[pycolmap.Camera],
    cam_from_world: Sequence[pycolmap.Rigid3d],
) -> pycolmap.Reconstruction:
    """Build a model without points whose images have the ids 1, 2, ...

    Args:
        names: of the images.
        cameras: of the images; those of one id are one camera.
        cam_from_world: of the images, as COLMAP has them.
    """
    model = pycolmap.Reconstruction()
    for camera in {camera.camera_id: camera for camera in cameras}.values():
        model.add_camera_with_trivial_rig(camera)
    posed = zip(names, cameras, cam_from_world, strict=True)
    for image_id, (name, camera, pose) in enumerate(posed, start=1):
        image = pycolmap.Image(name=name, camera_id=camera.camera_id, image_id=image_id)
        model.add_image_with_trivial_frame(image, pose)
    return model


def world_from_camera(images: Sequence[pycolmap.Image]) -> Array:
    """Return the poses of images, `[V, 3, 4]`, OpenCV axes."""
    poses: Array = np.stack([image.cam_from_world().inverse().matrix() for image in images])
    return poses


def rebuild(images: Sequence[pycolmap.Image]) -> pycolmap.Reconstruction:
    """Build a model of some images of another, without rigs and points."""
    lenses = [Lens.of(image.camera) for image in images]
    return build_model([image.name for image in images], lenses, world_from_camera(images))


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


def with_projections(model: pycolmap.Reconstruction, most: int) -> pycolmap.Reconstruction:
    """Return a model whose points count as seen by every photo that they project into.

    Whether something hides them there is not asked.

    Args:
        model: which photos saw its points does not count.
        most: points to keep, taken evenly.
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


def resize(model: pycolmap.Reconstruction, camera: pycolmap.Camera, size: tuple[int, int]) -> None:
    """Let a camera of a model see its photos at another size in pixels, in place."""
    scale = np.array(size) / (camera.width, camera.height)
    if (scale != 1).any():
        camera.rescale(*size)
        move_points(model, camera, lambda xy: xy * scale)


def enlarge(model: pycolmap.Reconstruction, side: int) -> None:
    """Let all cameras see their photos in the middle of a square of this side, in place."""
    for camera in model.cameras.values():
        shift = np.array([(side - camera.width) // 2, (side - camera.height) // 2])
        camera.width = camera.height = side
        camera.principal_point_x += shift[0]
        camera.principal_point_y += shift[1]
        move_points(model, camera, partial(np.add, shift))


def move_points(
    model: pycolmap.Reconstruction, camera: pycolmap.Camera, move: Callable[[Array], Array]
) -> None:
    """Move the points `[N, 2]` that the images of a camera have observed, in place."""
    for image in model.images.values():
        if image.camera_id == camera.camera_id and image.num_points2D():
            moved = move(np.array([point.xy for point in image.points2D]))
            for point, xy in zip(image.points2D, moved, strict=True):
                point.xy = xy
    model.update_point_3d_errors()
