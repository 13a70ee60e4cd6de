"""How far recovered cameras are from the true ones, whatever frame either is in."""

import numpy as np
from numpy.typing import NDArray

from ovs3d.space.normalise import Similarity

Array = NDArray[np.float64]


def align_similarity(source: Array, target: Array) -> Similarity:
    """Find the similarity that takes points to points with least squared error (Umeyama 1991).

    Args:
        source: `[N, 3]`, not all on a line.
        target: `[N, 3]`.
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    centred = source - source_mean
    left, stretch, right = np.linalg.svd((target - target_mean).T @ centred)
    # The last axis is flipped where the best orthogonal matrix would be a reflection.
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left * signs) @ right
    scale = float((stretch * signs).sum() / (centred**2).sum())
    return Similarity(scale, rotation, target_mean - scale * rotation @ source_mean)


def pose_errors(found: Array, truth: Array) -> tuple[Array, Array]:
    """Compare poses after a similarity alignment of the camera centres.

    Args:
        found: `[V, 3, 4]`, world from camera.
        truth: `[V, 3, 4]`, the same cameras in the true world.

    Returns:
        Rotation errors `[V]` in degrees, and position errors `[V]` as a share of the length of the
        true camera path.
    """
    aligned = align_similarity(found[:, :, 3], truth[:, :, 3]).poses(found)
    cosines = (np.einsum("vij,vij->v", aligned[:, :, :3], truth[:, :, :3]) - 1) / 2
    path = np.linalg.norm(np.diff(truth[:, :, 3], axis=0), axis=1).sum()
    distances = np.linalg.norm(aligned[:, :, 3] - truth[:, :, 3], axis=1)
    return np.degrees(np.arccos(np.clip(cosines, -1, 1))), distances / path
