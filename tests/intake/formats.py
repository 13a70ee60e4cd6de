"""Data sets as other tools write them, made from known cameras with nothing but NumPy.

Written from the formats' descriptions, without the project's readers or COLMAP's own library.
"""

import json
import shutil
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.synthetic import LABELS, SyntheticScene, write_masks, write_scene

Array = NDArray[np.float64]

_COLMAP_IDS = {"SIMPLE_PINHOLE": 0, "PINHOLE": 1, "SIMPLE_RADIAL": 2, "OPENCV": 4, "FULL_OPENCV": 6}


@dataclass(frozen=True, eq=False)
class Truth:
    """Photos with known cameras in a world of their own.

    Attributes:
        images: folder with the photos.
        names: of the photos.
        size: width and height in pixels.
        world_from_camera: `[V, 3, 4]`, camera axes x right, y down, z forward.
        intrinsics: `[V, 4]`, fx, fy, cx, cy; upper left corner of the photo at (0, 0).
        distortion: `[V, 4]`, k1, k2, p1, p2.
        points: `[P, 3]`, on surfaces that the photos show.
        label_maps: uint8 `[V, H, W]`.
    """

    images: Path
    names: tuple[str, ...]
    size: tuple[int, int]
    world_from_camera: Array
    intrinsics: Array
    distortion: Array
    points: Array
    label_maps: NDArray[np.uint8]

    def project(self, view: int) -> tuple[Array, Array]:
        """Return where the points appear in a photo, `[P, 2]` pixels, and their depth `[P]`."""
        pose = self.world_from_camera[view]
        camera = (self.points - pose[:, 3]) @ pose[:, :3]
        x, y = (camera[:, :2] / camera[:, 2:]).T
        k1, k2, p1, p2 = self.distortion[view]
        r2 = x**2 + y**2
        bent_x = x * (1 + k1 * r2 + k2 * r2**2) + 2 * p1 * x * y + p2 * (r2 + 2 * x**2)
        bent_y = y * (1 + k1 * r2 + k2 * r2**2) + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y
        fx, fy, cx, cy = self.intrinsics[view]
        return np.stack([fx * bent_x + cx, fy * bent_y + cy], axis=1), camera[:, 2]


def make_truth(scene: SyntheticScene, folder: Path) -> Truth:
    """Write a synthetic scene's photos and move its world to an arbitrary place."""
    write_scene(scene, folder)
    poses = scene.cameras.world_from_camera.numpy()
    rows, columns = np.mgrid[10 : scene.depths.shape[1] : 20, 10 : scene.depths.shape[2] : 20]
    xy = np.stack([columns.ravel(), rows.ravel()], axis=1)
    points = []
    for view in (0, len(poses) // 2, len(poses) - 1):
        fx, fy, cx, cy = scene.cameras.intrinsics[view].tolist()
        # Straight rays will do for points near those surfaces.
        plane = (xy + 0.5 - [cx, cy]) / [fx, fy]
        depth = scene.depths[view].numpy()[xy[:, 1], xy[:, 0], None]
        camera = np.concatenate([plane, np.ones_like(depth)], axis=1) * depth
        points.append(camera @ poses[view][:, :3].T + poses[view][:, 3])
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    scale, shift = 3.7, np.array([5.0, -2.0, 11.0])
    moved = np.concatenate(
        [turn @ poses[:, :, :3], (scale * poses[:, :, 3] @ turn.T + shift)[:, :, None]], axis=2
    )
    return Truth(
        images=folder / "images",
        names=scene.cameras.names,
        size=(scene.cameras.width, scene.cameras.height),
        world_from_camera=moved,
        intrinsics=scene.cameras.intrinsics.numpy(),
        distortion=scene.cameras.distortion.numpy(),
        points=scale * np.concatenate(points) @ turn.T + shift,
        label_maps=scene.label_maps.numpy(),
    )


def write_llff(truth: Truth, folder: Path) -> None:
    """Write `poses_bounds.npy`; it knows one focal length and no distortion."""
    shutil.copytree(truth.images, folder / "images")
    rows = []
    for view, pose in enumerate(truth.world_from_camera):
        right, down, forward, centre = pose.T
        width, height = truth.size
        hwf = [height, width, truth.intrinsics[view, 0]]
        matrix = np.stack([down, right, -forward, centre, hwf], axis=1)
        depth = truth.project(view)[1]
        rows.append([*matrix.ravel(), depth.min(), depth.max()])
    np.save(folder / "poses_bounds.npy", np.array(rows))


def write_3d_ovs(truth: Truth, folder: Path) -> None:
    """Write LLFF's file beside masks of two views, one PNG per label."""
    write_llff(truth, folder)
    (folder / "segmentations").mkdir()
    (folder / "segmentations/classes.txt").write_text("\n".join(LABELS))
    for view in (2, 6):
        write_masks(folder / "segmentations" / f"{view:02d}", truth.label_maps[view], LABELS)


def write_nerfstudio(truth: Truth, folder: Path) -> None:
    """Write `transforms.json` with intrinsics and distortion frame by frame, as LERF's data has."""
    shutil.copytree(truth.images, folder / "images")
    frames = []
    for view, name in enumerate(truth.names):
        keys = ("fl_x", "fl_y", "cx", "cy", "k1", "k2", "p1", "p2")
        values = [*truth.intrinsics[view], *truth.distortion[view]]
        lens = dict(zip(keys, map(float, values), strict=True))
        size = dict(zip("wh", truth.size, strict=True))
        frames.append({"file_path": f"./images/{name}", **_opengl(truth, view), **lens, **size})
    write_transforms(folder, {"camera_model": "OPENCV", "frames": frames})


def write_instant_ngp(truth: Truth, folder: Path) -> None:
    """Write `transforms.json` with one angle of view for all and names without suffix."""
    shutil.copytree(truth.images, folder / "images")
    angle = 2 * np.arctan(truth.size[0] / 2 / truth.intrinsics[0, 0])
    frames = [
        {"file_path": f"images/{Path(name).stem}", "sharpness": 20.0, **_opengl(truth, view)}
        for view, name in enumerate(truth.names)
    ]
    content = {"camera_angle_x": float(angle), "aabb_scale": 16, "frames": frames}
    write_transforms(folder, content)


def write_transforms(folder: Path, content: dict[str, Any]) -> None:
    (folder / "transforms.json").write_text(json.dumps(content, indent=2))


def read_transforms(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "transforms.json").read_text())
    return content


def write_colmap_text(truth: Truth, folder: Path) -> None:
    """Write a text model with points, every image with a camera of its own."""
    shutil.copytree(truth.images, folder / "images")
    model = folder / "sparse" / "0"
    model.mkdir(parents=True)
    width, height = truth.size
    cameras, images = ["# Camera list"], ["# Image list"]
    tracks: list[list[str]] = [[] for _ in truth.points]
    for view, name in enumerate(truth.names):
        values = [*truth.intrinsics[view], *truth.distortion[view]]
        cameras.append(f"{view + 5} OPENCV {width} {height} {_join(values)}")
        turn, shift = _colmap_pose(truth, view)
        # Ids in another order than names.
        image_id = 100 - view
        images.append(f"{image_id} {_join([*turn, *shift])} {view + 5} {name}")
        seen, xy = _visible(truth, view)
        images.append(" ".join(f"{_join(xy[p])} {p + 1}" for p in seen))
        for index, point in enumerate(seen):
            tracks[point].append(f"{image_id} {index}")
    points = [
        f"{index + 1} {_join(truth.points[index])} 200 100 50 0.1 {' '.join(track)}"
        for index, track in enumerate(tracks)
        if track
    ]
    (model / "cameras.txt").write_text("\n".join(cameras) + "\n")
    (model / "images.txt").write_text("\n".join(images) + "\n")
    (model / "points3D.txt").write_text("\n".join(points) + "\n")


def write_colmap_binary(truth: Truth, folder: Path) -> None:
    """Write two binary models without points: of two images first, then of all."""
    shutil.copytree(truth.images, folder / "images")
    views = range(len(truth.names))
    write_binary_model(truth, folder / "sparse" / "0", list(views)[:2])
    write_binary_model(truth, folder / "sparse" / "1", views)


def write_binary_model(
    truth: Truth, folder: Path, views: Sequence[int], camera: str = "FULL_OPENCV"
) -> None:
    """Write a binary model without points, one camera for each image."""
    folder.mkdir(parents=True)
    lenses, images = [struct.pack("<Q", len(views))], [struct.pack("<Q", len(views))]
    for view in views:
        values = [*truth.intrinsics[view], *truth.distortion[view], *[0.0] * 4]
        lenses.append(struct.pack("<iiQQ", view + 1, _COLMAP_IDS[camera], *truth.size))
        lenses.append(struct.pack("<12d", *values))
        turn, shift = _colmap_pose(truth, view)
        images.append(struct.pack("<i7di", view + 1, *turn, *shift, view + 1))
        images.append(truth.names[view].encode() + b"\0" + struct.pack("<Q", 0))
    (folder / "cameras.bin").write_bytes(b"".join(lenses))
    (folder / "images.bin").write_bytes(b"".join(images))
    (folder / "points3D.bin").write_bytes(struct.pack("<Q", 0))


WRITERS: dict[str, Callable[[Truth, Path], None]] = {
    "3d-ovs": write_3d_ovs,
    "llff": write_llff,
    "nerfstudio": write_nerfstudio,
    "instant-ngp": write_instant_ngp,
    "colmap text": write_colmap_text,
    "colmap binary": write_colmap_binary,
}
PLAIN = ("3d-ovs", "llff", "instant-ngp")
"""Formats, or ways to write them, that know one focal length and no distortion."""


def _opengl(truth: Truth, view: int) -> dict[str, Any]:
    right, down, forward, centre = truth.world_from_camera[view].T
    matrix = np.eye(4)
    matrix[:3] = np.stack([right, -down, -forward, centre], axis=1)
    return {"transform_matrix": matrix.tolist()}


def _colmap_pose(truth: Truth, view: int) -> tuple[Array, Array]:
    """Return the camera-from-world quaternion (w, x, y, z) and translation."""
    pose = truth.world_from_camera[view]
    turn = pose[:, :3].T
    # The eigenvector of the largest eigenvalue (Bar-Itzhack 2000).
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = turn
    matrix = np.array(
        [
            [xx - yy - zz, yx + xy, zx + xz, zy - yz],
            [yx + xy, yy - xx - zz, zy + yz, xz - zx],
            [zx + xz, zy + yz, zz - xx - yy, yx - xy],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    x, y, z, w = np.linalg.eigh(matrix)[1][:, -1]
    return np.array([w, x, y, z]), -turn @ pose[:, 3]


def _visible(truth: Truth, view: int) -> tuple[list[int], Array]:
    xy, depth = truth.project(view)
    inside = (depth > 0) & (xy > 0).all(axis=1) & (xy < truth.size).all(axis=1)
    return np.flatnonzero(inside).tolist(), xy


def _join(values: Any) -> str:
    return " ".join(repr(float(value)) for value in values)
