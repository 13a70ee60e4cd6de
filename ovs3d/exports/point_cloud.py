"""The labelled surface as points: sampled through the rays of the photos, written as PLY."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from plyfile import PlyData, PlyElement
from scipy.spatial import KDTree

from ovs3d.evaluation.palette import label_colors
from ovs3d.evaluation.segment import Segmenter
from ovs3d.exports.confidence import probabilities, spread_of
from ovs3d.field.render import MIN_OPACITY
from ovs3d.files import atomic_path
from ovs3d.progress import progress
from ovs3d.space.cameras import Cameras
from ovs3d.space.normalise import Similarity

UNIT_FRAME = ("coordinates of the unit scene (stage poses): x right, y down, z forward",)
"""What a point cloud says about points that were not moved."""

_R2_STEPS = (0.7548776662466927, 0.5698402909980532)
"""Reciprocals of the plastic number and of its square: the R2 sequence (Roberts 2018)."""
_NEIGHBOURS = 16
"""Points that a normal's plane is laid through."""
_CHUNK = 1 << 16

_VERTEX = np.dtype(
    [
        *((axis, "<f4") for axis in ("x", "y", "z", "nx", "ny", "nz")),
        *((channel, "u1") for channel in ("red", "green", "blue")),
        ("label", "u1"),
        ("confidence", "<f4"),
    ]
)


@dataclass(frozen=True)
class PointCloud:
    """N labelled points."""

    positions: NDArray[np.float32]
    """[N, 3] world (the unit scene of stage poses, unless moved)."""
    normals: NDArray[np.float32]
    """[N, 3] unit vectors, towards the camera that saw the point."""
    colors: NDArray[np.uint8]
    """[N, 3]."""
    labels: NDArray[np.uint8]
    """[N] label indices."""
    confidence: NDArray[np.float32]
    """[N] probability of the label, in [0, 1]."""

    def __len__(self) -> int:
        return len(self.positions)

    def only(self, labels: Sequence[int]) -> "PointCloud":
        """Return the points of some labels."""
        kept = np.isin(self.labels, labels)
        return PointCloud(*(getattr(self, name)[kept] for name in self.__dataclass_fields__))

    def moved(self, similarity: Similarity) -> "PointCloud":
        """Return the same points in another frame."""
        positions = similarity.points(self.positions.astype(np.float64))
        normals = self.normals @ similarity.rotation.T
        return replace(
            self,
            positions=positions.astype(np.float32),
            normals=normals.astype(np.float32),
        )


@torch.no_grad()
def sample_points(
    model: Segmenter, cameras: Cameras, limit: int, device: torch.device
) -> tuple[PointCloud, float]:
    """Find where rays of the photos end, spread evenly over each.

    Args:
        model: the segmentation.
        cameras: cameras of the scene.
        limit: at most this many points; rays through empty space, which have no label, give none.
        device: device of the model.

    Returns:
        The points, and the spread of their logits, see `ovs3d.exports.confidence`.
    """
    # Fewer points than views: some views give none.
    views = cameras.views[: min(limit, len(cameras.views))]
    bounds = [rank * limit // len(views) for rank in range(len(views) + 1)]
    parts = []
    with progress("point cloud", len(views), "views") as advance:
        for view, (first, last) in zip(views, pairwise(bounds), strict=True):
            # The sequence goes on from view to view, so that their points interleave.
            xy = _spread_out(first, last, cameras.width, cameras.height).to(device)
            origins, directions = cameras.rays(view, xy)
            rays = model.render(origins, directions)
            hit = rays.opacity >= MIN_OPACITY
            positions = origins + rays.depth[:, None] * directions
            colors = (rays.color.clamp(0, 1) * 255).round().to(torch.uint8)
            found = (origins, positions, colors, rays.logits)
            parts.append([values[hit].cpu().numpy() for values in found])
            advance()
    starts, points, painted, logits = (np.concatenate(part) for part in zip(*parts, strict=True))
    labels = logits.argmax(axis=1)
    spread = spread_of(logits)
    confidence = probabilities(logits, spread).max(axis=1)
    normals = estimate_normals(points, starts)
    return PointCloud(points, normals, painted, labels.astype(np.uint8), confidence), spread


def estimate_normals(
    positions: NDArray[np.float32], towards: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Lay a plane through the neighbours of each point (Hoppe et al. 1992).

    Args:
        positions: [N, 3].
        towards: [N, 3], points on the side to which the normals shall look.

    Returns:
        [N, 3] unit vectors; of fewer than three points the direction to `towards`.
    """
    sight = towards - positions
    sight /= np.linalg.norm(sight, axis=1, keepdims=True).clip(min=1e-12)
    if len(positions) < 3:
        return sight
    tree = KDTree(positions)
    normals = []
    for first in range(0, len(positions), _CHUNK):
        some = positions[first : first + _CHUNK]
        _, nearest = tree.query(some, k=min(_NEIGHBOURS, len(positions)))
        around = positions[nearest].astype(np.float64)
        around -= around.mean(axis=1, keepdims=True)
        normals.append(np.linalg.eigh(around.transpose(0, 2, 1) @ around)[1][:, :, 0])
    found = np.concatenate(normals)
    found *= np.where((found * sight).sum(axis=1, keepdims=True) < 0, -1.0, 1.0)
    return found.astype(np.float32)


def write_point_cloud(
    folder: Path, cloud: PointCloud, labels: Sequence[str], frame: Sequence[str]
) -> None:
    """Write `point_cloud.ply`, and `point_cloud_labels.ply` in the colours of the labels.

    Args:
        folder: to write to.
        cloud: the points.
        labels: names of all labels.
        frame: lines that say what the coordinates are.
    """
    _write_ply(folder / "point_cloud.ply", cloud, cloud.colors, labels, frame)
    painted = label_colors(len(labels))[cloud.labels]
    _write_ply(folder / "point_cloud_labels.ply", cloud, painted, labels, frame)


def _write_ply(
    path: Path,
    cloud: PointCloud,
    colors: NDArray[np.uint8],
    labels: Sequence[str],
    frame: Sequence[str],
) -> None:
    """Write a binary PLY.

    Comment lines of the header name frame and labels, other than ASCII as backslash escapes.
    """
    vertices = np.zeros(len(cloud), dtype=_VERTEX)
    columns = (*cloud.positions.T, *cloud.normals.T, *colors.T, cloud.labels, cloud.confidence)
    for name, column in zip(_VERTEX.names or (), columns, strict=True):
        vertices[name] = column
    comments = ["ovs3d labelled points", *frame]
    comments += [f"label {index} {label}" for index, label in enumerate(labels)]
    plain = [
        " ".join(line.split()).encode("ascii", "backslashreplace").decode() for line in comments
    ]
    content = PlyData([PlyElement.describe(vertices, "vertex")], byte_order="<", comments=plain)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        content.write(file)


def _spread_out(first: int, last: int, width: int, height: int) -> torch.Tensor:
    """Return places first..last of the R2 sequence as float32 [N, 2] photo coordinates."""
    steps = torch.arange(first + 1, last + 1, dtype=torch.float64)[:, None]
    unit = (0.5 + steps * torch.tensor(_R2_STEPS, dtype=torch.float64)) % 1.0
    return (unit * torch.tensor([width, height], dtype=torch.float64)).to(torch.float32)
