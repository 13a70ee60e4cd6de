"""From COLMAP's frame to the unit scene: axes after the cameras, nearest depth 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NEAR_MARGIN = 0.9
"""Content may lie this much nearer than the nearest sparse points."""
OUTLIERS = 0.5
"""Percent of the sparse points that are left out at either end of a range."""

COLMAP_FOLDER = "sfm"
"""In the folder of stage poses: the model in COLMAP's own frame."""
TRANSFORM_FILE = "sfm/transform.json"
"""There too: from that frame to the unit scene."""

_FORMAT = "ovs3d-similarity-1"
# How much nearer to the average camera than to any real one content may lie and still count.
_MAX_CLOSER = 4.0
# Cameras face forward that look less than 45 degrees away from their mean direction. (Those that
# look down at something from all around agree on one direction too: down.)
_MIN_FORWARD = 0.7


@dataclass(frozen=True, eq=False)
class Similarity:
    """The map `scale * rotation @ point + translation`.

    Attributes:
        scale: positive.
        rotation: `[3, 3]`, proper.
        translation: `[3]`.
    """

    scale: float
    rotation: Array
    translation: Array

    def points(self, points: Array) -> Array:
        """Map points `[N, 3]`."""
        return self.scale * points @ self.rotation.T + self.translation

    def poses(self, world_from_camera: Array) -> Array:
        """Map poses `[V, 3, 4]`; their rotations stay rotations."""
        rotations = self.rotation @ world_from_camera[:, :, :3]
        centres = self.points(world_from_camera[:, :, 3])
        return np.concatenate([rotations, centres[:, :, None]], axis=2)

    def to_json(self) -> dict[str, Any]:
        """Return what goes into `transform.json`."""
        return {
            "format": _FORMAT,
            "meaning": "unit scene = scale * rotation @ colmap + translation",
            "scale": self.scale,
            "rotation": self.rotation.tolist(),
            "translation": self.translation.tolist(),
        }

    @staticmethod
    def from_json(content: dict[str, Any]) -> "Similarity":
        """Rebuild a map from `to_json`.

        Raises:
            KeyError: it is something else.
        """
        return Similarity(
            content["scale"], np.array(content["rotation"]), np.array(content["translation"])
        )


@dataclass(frozen=True, eq=False)
class Bounds:
    """Where the content of the unit scene lies, outliers left out.

    Attributes:
        near: smallest depth in any view, at least 1.
        far: largest depth in any view.
        points_min: `[3]`, lower corner of the sparse points.
        points_max: `[3]`, upper corner.
    """

    near: float
    far: float
    points_min: Array
    points_max: Array


def unit_scene(
    world_from_camera: Array, points: Array, seen: Sequence[NDArray[np.int64]]
) -> tuple[Similarity, Bounds]:
    """Find the map to the unit scene, and the scene's bounds there.

    Where all cameras face forward, the average camera (mean position, mean forward and mean down
    axis, as LLFF's `poses_avg`) becomes the origin, and the scale makes 1 a near plane for every
    view and, so that normalised device coordinates work, for the average camera too. Otherwise the
    point that the cameras look at becomes the origin, their mean down axis +y, and the most
    level of them looks along +z.

    Args:
        world_from_camera: `[V, 3, 4]`, any frame.
        points: `[P, 3]`, sparse points in that frame.
        seen: for each view the indices of the points that it sees.
    """
    forward = _face_forward(world_from_camera)
    recentre = (_average_camera if forward else _looked_at)(world_from_camera)
    moved = recentre.points(points)
    near, far = _depths(recentre.poses(world_from_camera), moved, seen)
    nearest = near
    if forward:
        # Seen from the average camera; limited, so that few points right before it cannot blow
        # the scene up.
        average_near = max(float(np.percentile(moved[:, 2], OUTLIERS)), near / _MAX_CLOSER)
        nearest = min(near, average_near)
    scale = 1 / (NEAR_MARGIN * nearest)
    similarity = Similarity(scale, recentre.rotation, scale * recentre.translation)
    lower, upper = np.percentile(similarity.points(points), [OUTLIERS, 100 - OUTLIERS], axis=0)
    return similarity, Bounds(
        near=float(NEAR_MARGIN * near * scale),
        far=float(far * scale / NEAR_MARGIN),
        points_min=lower,
        points_max=upper,
    )


def find_bounds(
    world_from_camera: Array, points: Array, seen: Sequence[NDArray[np.int64]]
) -> Bounds:
    """Find the bounds of what some views of the unit scene show; arguments as of `unit_scene`."""
    near, far = _depths(world_from_camera, points, seen)
    lower, upper = np.percentile(points, [OUTLIERS, 100 - OUTLIERS], axis=0)
    return Bounds(float(NEAR_MARGIN * near), float(far / NEAR_MARGIN), lower, upper)


def _depths(poses: Array, points: Array, seen: Sequence[NDArray[np.int64]]) -> tuple[float, float]:
    """Return the smallest and the largest depth in any view, outliers left out."""
    depths = np.concatenate(
        [(points[index] - pose[:, 3]) @ pose[:, 2] for pose, index in zip(poses, seen, strict=True)]
    )
    near, far = np.percentile(depths, [OUTLIERS, 100 - OUTLIERS])
    return near, far


def focus(world_from_camera: Array) -> Array:
    """Return the point `[3]` nearest to the optical axes of poses `[V, 3, 4]` (least squares)."""
    centres, axes = world_from_camera[:, :, 3], world_from_camera[:, :, 2]
    # What is left of a vector across each axis.
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    right = (across @ centres[:, :, None]).sum(axis=0)
    solution: Array = np.linalg.lstsq(across.sum(axis=0), right[:, 0], rcond=None)[0]
    return solution


def _face_forward(world_from_camera: Array) -> bool:
    axes = world_from_camera[:, :, 2]
    mean = axes.mean(axis=0)
    return bool((axes @ mean > _MIN_FORWARD * np.linalg.norm(mean)).all())


def _average_camera(world_from_camera: Array) -> Similarity:
    centre = world_from_camera[:, :, 3].mean(axis=0)
    forward = world_from_camera[:, :, 2].mean(axis=0)
    forward /= np.linalg.norm(forward)
    right = np.cross(world_from_camera[:, :, 1].mean(axis=0), forward)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return Similarity(1.0, rotation, -rotation @ centre)


def _looked_at(world_from_camera: Array) -> Similarity:
    down = world_from_camera[:, :, 1].mean(axis=0)
    down /= np.linalg.norm(down)
    axes = world_from_camera[:, :, 2]
    # The camera that looks most level: one that looks straight down has no direction.
    right = np.cross(down, axes[np.abs(axes @ down).argmin()])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, down, np.cross(right, down)])
    return Similarity(1.0, rotation, -rotation @ focus(world_from_camera))
