"""The labelled surface as points: sampled through the rays of the photos, written as PLY."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ovs3d.evaluation.palette import label_colors
from ovs3d.evaluation.segment import MIN_OPACITY, Segmenter
from ovs3d.files import atomic_path
from ovs3d.progress import progress
from ovs3d.scene.cameras import Cameras

_R2_STEPS = (0.7548776662466927, 0.5698402909980532)
"""Reciprocals of the plastic number and of its square: the R2 sequence (Roberts 2018)."""

_VERTEX = np.dtype(
    [
        *((axis, "<f4") for axis in "xyz"),
        *((channel, "u1") for channel in ("red", "green", "blue")),
        ("label", "u1"),
    ]
)
_PLY_TYPES = {"f": "float", "u": "uchar"}


@dataclass(frozen=True)
class PointCloud:
    """N labelled points."""

    positions: NDArray[np.float32]
    """[N, 3] world (the unit scene of stage poses)."""
    colors: NDArray[np.uint8]
    """[N, 3]."""
    labels: NDArray[np.uint8]
    """[N] label indices."""

    def __len__(self) -> int:
        return len(self.positions)


@torch.no_grad()
def sample_points(
    model: Segmenter, cameras: Cameras, views: Sequence[int], limit: int, device: torch.device
) -> PointCloud:
    """Find where rays of the views end, spread evenly over each photo.

    Args:
        model: the segmentation.
        cameras: cameras of the scene.
        views: photo indices of registered views.
        limit: at most this many points; rays through empty space, which have no label, give none.
        device: device of the model.
    """
    # Fewer points than views: some views give none.
    views = views[: min(limit, len(views))]
    bounds = [rank * limit // len(views) for rank in range(len(views) + 1)]
    clouds = []
    with progress("point cloud", len(views), "views") as advance:
        for view, (first, last) in zip(views, pairwise(bounds), strict=True):
            # The sequence goes on from view to view, so that their points interleave.
            xy = _spread(first, last, cameras.width, cameras.height).to(device)
            origins, directions = cameras.rays(view, xy)
            rays = model.render(origins, directions)
            hit = rays.opacity >= MIN_OPACITY
            positions = origins + rays.depth[:, None] * directions
            colors = (rays.color.clamp(0, 1) * 255).round().to(torch.uint8)
            labels = rays.logits.argmax(dim=-1).to(torch.uint8)
            clouds.append([values[hit].cpu().numpy() for values in (positions, colors, labels)])
            advance()
    return PointCloud(*(np.concatenate(arrays) for arrays in zip(*clouds, strict=True)))


def write_point_cloud(folder: Path, cloud: PointCloud, labels: Sequence[str]) -> None:
    """Write `point_cloud.ply`, and `point_cloud_labels.ply` in the colours of the labels."""
    _write_ply(folder / "point_cloud.ply", cloud, cloud.colors, labels)
    painted = label_colors(len(labels))[cloud.labels]
    _write_ply(folder / "point_cloud_labels.ply", cloud, painted, labels)


def _write_ply(
    path: Path, cloud: PointCloud, colors: NDArray[np.uint8], labels: Sequence[str]
) -> None:
    """Write a binary PLY: position, colour and label index.

    Comment lines of the header name the labels, other than ASCII as backslash escapes.
    """
    vertices = np.zeros(len(cloud), dtype=_VERTEX)
    columns = (*cloud.positions.T, *colors.T, cloud.labels)
    for name, column in zip(_VERTEX.names or (), columns, strict=True):
        vertices[name] = column
    header = ["ply", "format binary_little_endian 1.0", "comment ovs3d labelled points"]
    header.append("comment coordinates of the unit scene (stage poses): x right, y down, z forward")
    header.append(
        "comment point = scale * rotation @ colmap + translation: sfm/transform.json there"
    )
    header += [f"comment label {index} {label}" for index, label in enumerate(labels)]
    header.append(f"element vertex {len(cloud)}")
    for name in _VERTEX.names or ():
        header.append(f"property {_PLY_TYPES[_VERTEX[name].kind]} {name}")
    header.append("end_header")
    text = "".join(f"{' '.join(line.split())}\n" for line in header)
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode("ascii", "backslashreplace") + vertices.tobytes())


def _spread(first: int, last: int, width: int, height: int) -> torch.Tensor:
    """Return places first..last of the R2 sequence as float32 [N, 2] photo coordinates."""
    steps = torch.arange(first + 1, last + 1, dtype=torch.float64)[:, None]
    unit = (0.5 + steps * torch.tensor(_R2_STEPS, dtype=torch.float64)) % 1.0
    return (unit * torch.tensor([width, height], dtype=torch.float64)).to(torch.float32)
