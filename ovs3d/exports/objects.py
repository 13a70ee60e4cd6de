"""The things in a scene: connected pieces of the surface of one label, and the list of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull, QhullError

from ovs3d.exports.coordinates import Frame
from ovs3d.exports.surface import Mesh
from ovs3d.files import atomic_path, write_csv, write_json

_MIN_SHARE = 0.1
"""Of the area of a label's largest piece; smaller ones are splinters, no things of their own."""

MEANING = {
    "box": "smallest box along the axes of the frame",
    "volume": "of the convex hull; what no photo shows is not known",
    "centroid": "of the convex hull",
    "area": "of the surface that the photos show",
    "confidence": "mean probability of the label, in [0, 1]",
    "photos": "indices of the photos that show it, sorted by name from 0",
}


@dataclass(frozen=True)
class SceneObject:
    """One thing."""

    number: int
    """From 1, over all labels."""
    label: int
    name: str
    """Label and number among the things of that label, from 1: unique."""
    mesh: Mesh


def find_objects(
    mesh: Mesh, labels: Sequence[str], chosen: Collection[int]
) -> tuple[list[SceneObject], dict[int, float]]:
    """Cut a mesh into things.

    Args:
        mesh: the surface.
        labels: names of all labels.
        chosen: indices of the labels that are wanted.

    Returns:
        The things by label, large ones first; and for each label the share of its area that is in
        splinters too small to be things.
    """
    face_labels, areas = mesh.face_labels, mesh.areas()
    objects: list[SceneObject] = []
    splinters = {}
    for label in sorted(chosen):
        faces = (face_labels == label).nonzero()[0]
        pieces = _pieces(mesh.faces[faces], len(mesh.vertices))
        sizes = np.bincount(pieces, areas[faces]) if len(faces) else np.zeros(0)
        kept = [int(piece) for piece in np.argsort(-sizes, kind="stable")]
        kept = [piece for piece in kept if sizes[piece] >= _MIN_SHARE * sizes.max()]
        for rank, piece in enumerate(kept, start=1):
            mask = np.zeros(len(mesh.faces), np.bool_)
            mask[faces[pieces == piece]] = True
            # No label holds a slash, so no label is called like this.
            name = f"{labels[label]}/{rank}"
            objects.append(SceneObject(len(objects) + 1, label, name, mesh.part(mask)))
        splinters[label] = float(1 - sizes[kept].sum() / sizes.sum()) if kept else 0.0
    return objects, splinters


def catalogue(
    objects: Sequence[SceneObject],
    labels: Sequence[str],
    splinters: Mapping[int, float],
    photos: Mapping[int, Sequence[int]],
    frame: Frame,
) -> dict[str, Any]:
    """Describe the things of a scene in the units of a frame.

    Args:
        objects: in the unit scene.
        labels: names of all labels.
        splinters: by label, as `find_objects` returned them.
        photos: views that show a thing, by its number.
        frame: to describe them in.
    """
    return {
        "frame": frame.to_json(),
        "meaning": MEANING,
        "labels": [
            {
                "label": labels[index],
                "index": index,
                "count": sum(each.label == index for each in objects),
                "splinters": round(share, 4),
            }
            for index, share in splinters.items()
        ],
        "objects": [
            {
                "id": each.number,
                "name": each.name,
                "label": labels[each.label],
                "label_index": each.label,
                **_measures(each.mesh.moved(frame.from_unit)),
                "photos": list(photos.get(each.number, ())),
            }
            for each in objects
        ],
    }


def write_catalogue(folder: Path, content: Mapping[str, Any]) -> None:
    """Write `objects.json`, and `objects.csv` with one thing a line."""
    write_json(folder / "objects.json", content)
    rows = [_flat(each) for each in content["objects"]]
    if rows:
        write_csv(folder / "objects.csv", rows)
        return
    with atomic_path(folder / "objects.csv") as temporary:
        temporary.write_text("id,name,label\n")


def _pieces(faces: NDArray[np.int64], vertices: int) -> NDArray[np.int64]:
    """Number the connected pieces of triangles [F, 3], which share vertices: [F]."""
    first, second = np.concatenate([faces[:, :2], faces[:, 1:]]).T
    links = coo_array((np.ones(len(first)), (first, second)), shape=(vertices, vertices))
    _, piece_of_vertex = connected_components(links, directed=False)
    _, pieces = np.unique(piece_of_vertex[faces[:, 0]], return_inverse=True)
    return pieces


def _measures(mesh: Mesh) -> dict[str, Any]:
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    volume, centroid = _hull(mesh.vertices)
    return {
        "box": {"min": _rounded(low), "max": _rounded(high)},
        "size": _rounded(high - low),
        "volume": _rounded(volume),
        "centroid": _rounded(centroid),
        "area": _rounded(mesh.areas().sum()),
        "triangles": len(mesh.faces),
        "confidence": round(float(mesh.confidence.mean()), 4),
    }


def _hull(points: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Return volume and centroid [3] of the convex hull of points [N, 3]."""
    try:
        hull = ConvexHull(points)
    except QhullError:
        # All in one plane.
        return 0.0, points.mean(axis=0)
    middle = points[hull.vertices].mean(axis=0)
    corners = points[hull.simplices] - middle
    # Tetrahedra from the middle to the facets.
    volumes = np.abs(np.linalg.det(corners)) / 6
    return float(hull.volume), middle + volumes @ corners.sum(axis=1) / 4 / volumes.sum()


def _rounded(values: Any) -> Any:
    """Keep six digits that count: more would claim a precision that is not there."""
    if np.ndim(values):
        return [_rounded(value) for value in values]
    return float(f"{values:.6g}")


def _flat(entry: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {key: entry[key] for key in ("id", "name", "label", "label_index")}
    for name, values in {**entry["box"], "centroid": entry["centroid"]}.items():
        row |= {f"{name}_{axis}": value for axis, value in zip("xyz", values, strict=True)}
    row |= {key: entry[key] for key in ("volume", "area", "confidence")}
    return row | {"photos": " ".join(map(str, entry["photos"]))}
