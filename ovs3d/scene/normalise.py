"""From COLMAP's frame to the unit scene: average camera at the origin, nearest depth 1."""

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

_FORMAT = "ovs3d-similarity-1"
# How much nearer to the average camera than to any real one content may lie and still count.
_MAX_CLOSER = 4.0


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

    The average camera (mean position, mean forward and mean down axis, as LLFF's `poses_avg`)
    becomes the origin. The scale makes 1 a near plane for every view and, so that normalised
    device coordinates work, for the average camera too.

    Args:
        world_from_camera: `[V, 3, 4]`, any frame.
        points: `[P, 3]`, sparse points in that frame.
        seen: for each view the indices of the points that it sees.
    """
    recentre = _average_camera(world_from_camera)
    poses, moved = recentre.poses(world_from_camera), recentre.points(points)
    depths = np.concatenate(
        [(moved[index] - pose[:, 3]) @ pose[:, 2] for pose, index in zip(poses, seen, strict=True)]
    )
    near, far = np.percentile(depths, [OUTLIERS, 100 - OUTLIERS])
    # Seen from the average camera. Means something only if all cameras face forward; limited, so
    # that cameras around an object, whose average stands inside it, do not blow the scene up.
    average_near = max(float(np.percentile(moved[:, 2], OUTLIERS)), near / _MAX_CLOSER)
    scale = 1 / (NEAR_MARGIN * min(near, average_near))
    similarity = Similarity(scale, recentre.rotation, scale * recentre.translation)
    lower, upper = np.percentile(similarity.points(points), [OUTLIERS, 100 - OUTLIERS], axis=0)
    return similarity, Bounds(
        near=float(NEAR_MARGIN * near * scale),
        far=float(far * scale / NEAR_MARGIN),
        points_min=lower,
        points_max=upper,
    )


def _average_camera(world_from_camera: Array) -> Similarity:
    centre = world_from_camera[:, :, 3].mean(axis=0)
    forward = world_from_camera[:, :, 2].mean(axis=0)
    forward /= np.linalg.norm(forward)
    right = np.cross(world_from_camera[:, :, 1].mean(axis=0), forward)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return Similarity(1.0, rotation, -rotation @ centre)
