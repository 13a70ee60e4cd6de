"""The labelled surface as one mesh: depth maps of all photos, fused (Curless and Levoy 1996).

The field is rendered into every photo; each node of a grid of voxels averages how far it lies in
front of what the photos see there, and the surface is where that changes its sign.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter
from skimage.measure import marching_cubes

from ovs3d.evaluation.segment import SegmentedView
from ovs3d.exports.confidence import probabilities
from ovs3d.photos.dataset import NO_LABEL
from ovs3d.progress import progress
from ovs3d.space.cameras import Cameras
from ovs3d.space.normalise import Similarity

_NODES = 160**3
"""Of the grid: objects that fill a tenth of the scene's width are some 20 voxels wide."""
_MARGIN = 0.05
"""By which the grid reaches beyond the box of the sparse points, relative to it."""
_TRUNCATION = 3.0
"""Voxels from a surface within which a photo has a say."""
_TINY = 1e-9


@dataclass(frozen=True)
class Seen:
    """What is kept of a rendered photo of h x w pixels to build a surface of."""

    depth: NDArray[np.float32]
    """[h, w] z-depth in world units; 0 where there is none."""
    labels: NDArray[np.uint8]
    """[h, w] label indices, `NO_LABEL` among them."""
    confidence: NDArray[np.float16]
    """[h, w] probability of the label."""
    picture: NDArray[np.uint8]
    """[h, w, 3]."""

    @staticmethod
    def of(rendered: SegmentedView, spread: float) -> "Seen":
        """Keep what matters; `spread` of the logits as in `ovs3d.exports.confidence`."""
        labels = rendered.label_map
        confidence = probabilities(rendered.logits, spread).max(axis=-1)
        depth = np.where(labels == NO_LABEL, 0, rendered.depth).astype(np.float32)
        return Seen(depth, labels, confidence.astype(np.float16), rendered.picture)


@dataclass(frozen=True)
class Mesh:
    """V labelled vertices and F triangles, counter-clockwise as seen from the cameras."""

    vertices: NDArray[np.float64]
    """[V, 3] world (the unit scene of stage poses, unless moved)."""
    faces: NDArray[np.int64]
    """[F, 3] vertex indices."""
    colors: NDArray[np.uint8]
    """[V, 3]."""
    labels: NDArray[np.uint8]
    """[V] label indices."""
    confidence: NDArray[np.float32]
    """[V] in [0, 1]: share of what photos say about a vertex that speaks for its label."""

    @property
    def face_labels(self) -> NDArray[np.uint8]:
        """[F] the label that two corners share, or else that of the first."""
        first, second, third = self.labels[self.faces].T
        return np.asarray(np.where(second == third, second, first))

    def areas(self) -> NDArray[np.float64]:
        """Return the areas of the triangles, [F]."""
        a, b, c = (self.vertices[corner] for corner in self.faces.T)
        return np.asarray(np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2)

    def part(self, faces: NDArray[np.bool_]) -> "Mesh":
        """Return some triangles, given by a mask [F], and their vertices."""
        used, renumbered = np.unique(self.faces[faces], return_inverse=True)
        return Mesh(
            self.vertices[used],
            renumbered.reshape(-1, 3),
            self.colors[used],
            self.labels[used],
            self.confidence[used],
        )

    def moved(self, similarity: Similarity) -> "Mesh":
        """Return the same mesh in another frame."""
        return replace(self, vertices=similarity.points(self.vertices))


def fuse(seen: Mapping[int, Seen], cameras: Cameras, downscale: int, labels: int) -> Mesh:
    """Make one mesh of what the photos see within the box of the sparse points.

    Args:
        seen: rendered photos by view.
        cameras: cameras of the scene.
        downscale: at which they were rendered.
        labels: number of labels.

    Returns:
        The mesh, which is empty if no surface lies in the box. What no photo sees is open.
    """
    lower, upper = cameras.points_min.numpy(), cameras.points_max.numpy()
    lower, upper = lower - _MARGIN * (upper - lower), upper + _MARGIN * (upper - lower)
    voxel = float(np.prod((upper - lower).clip(min=_TINY)) / _NODES) ** (1 / 3)
    shape = np.maximum(np.ceil((upper - lower) / voxel).astype(int) + 1, 2)
    projector = _Projector(cameras, downscale)
    depths = {
        view: _without_edges(each.depth, 2 * _TRUNCATION * voxel) for view, each in seen.items()
    }
    distances = np.ones(shape, np.float32)
    known = np.zeros(shape, np.bool_)
    y, z = np.meshgrid(
        *(lower[axis] + voxel * np.arange(shape[axis]) for axis in (1, 2)), indexing="ij"
    )
    with progress("surface", int(shape[0]), "slices") as advance:
        for index in range(shape[0]):
            x = np.full_like(y, lower[0] + voxel * index)
            points = np.stack([x, y, z], axis=-1).reshape(-1, 3)
            mean, count = _distances(points, depths, projector, _TRUNCATION * voxel)
            distances[index], known[index] = mean.reshape(y.shape), count.reshape(y.shape) > 0
            advance()
    vertices, faces = _zero_surface(distances, known)
    return _painted(vertices * voxel + lower, faces, seen, projector, _TRUNCATION * voxel, labels)


class _Projector:
    """Finds the pixels of rendered photos in which points lie."""

    def __init__(self, cameras: Cameras, downscale: int) -> None:
        self.cameras, self.downscale = cameras, downscale
        self.width, self.height = cameras.width // downscale, cameras.height // downscale

    def __call__(
        self, view: int, points: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return which of the points [N, 3] lie in the photo, in which pixel, at which depth."""
        xy, depth = self.cameras.project(view, torch.from_numpy(points))
        # Far outside, distortion may overflow; those points are not in the photo.
        column, row = (xy.nan_to_num(-1.0, -1.0, -1.0) / self.downscale).floor().numpy().T
        inside = (depth.numpy() > 0) & (column >= 0) & (column < self.width)
        inside &= (row >= 0) & (row < self.height)
        chosen = inside.nonzero()[0]
        pixels = row[chosen].astype(np.int64) * self.width + column[chosen].astype(np.int64)
        return chosen, pixels, depth.numpy()[chosen]


def _without_edges(depth: NDArray[np.float32], step: float) -> NDArray[np.float32]:
    """Remove pixels next to a jump in depth: their mean depth lies in the air between surfaces."""
    jump = maximum_filter(depth, 3) - minimum_filter(depth, 3)
    return np.where(jump > step, 0, depth).astype(np.float32)


def _distances(
    points: NDArray[np.float64],
    depths: Mapping[int, NDArray[np.float32]],
    project: _Projector,
    truncation: float,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the mean distance of points [N, 3] before the surface, and how many photos say so.

    In units of the truncation, in [-1, 1]; deeper behind a surface a photo knows nothing.
    """
    total, count = np.zeros(len(points)), np.zeros(len(points), np.int64)
    for view, depth in depths.items():
        chosen, pixels, z = project(view, points)
        surface = depth.reshape(-1)[pixels]
        distance = (surface - z) / truncation
        valid = (surface > 0) & (distance > -1)
        total[chosen[valid]] += distance[valid].clip(max=1)
        count[chosen[valid]] += 1
    return np.where(count > 0, total / count.clip(min=1), 1.0), count


def _zero_surface(
    distances: NDArray[np.float32], known: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return vertices [V, 3], in voxels, and faces [F, 3] between nodes that are known."""
    if not (known & (distances < 0)).any() or not (known & (distances > 0)).any():
        return np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    vertices, faces, _, _ = marching_cubes(distances, 0.0, gradient_direction="descent")
    low, high = np.floor(vertices).astype(int), np.ceil(vertices).astype(int)
    # A vertex lies on an edge of the grid, between the two nodes that it was interpolated from.
    valid = known[tuple(low.T)] & known[tuple(high.T)]
    return vertices.astype(np.float64), faces[valid[faces].all(axis=1)].astype(np.int64)


def _painted(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int64],
    seen: Mapping[int, Seen],
    project: _Projector,
    truncation: float,
    labels: int,
) -> Mesh:
    """Let the photos that see a vertex vote on its colour and label."""
    colors, votes = np.zeros((len(vertices), 3)), np.zeros((len(vertices), labels))
    count = np.zeros(len(vertices), np.int64)
    for view, each in seen.items():
        chosen, pixels, z = project(view, vertices)
        label = each.labels.reshape(-1)[pixels]
        near = (np.abs(each.depth.reshape(-1)[pixels] - z) < truncation) & (label != NO_LABEL)
        chosen, pixels, label = chosen[near], pixels[near], label[near]
        colors[chosen] += each.picture.reshape(-1, 3)[pixels]
        votes[chosen, label] += each.confidence.reshape(-1)[pixels]
        count[chosen] += 1
    total = count.clip(min=1)[:, None]
    mesh = Mesh(
        vertices,
        faces,
        np.rint(colors / total).astype(np.uint8),
        votes.argmax(axis=1).astype(np.uint8),
        (votes.max(axis=1) / total[:, 0]).astype(np.float32),
    )
    return mesh.part(np.asarray((count > 0)[faces].all(axis=1)))
