"""The things of a scene as glTF: one node per label, one below it per thing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from ovs3d.evaluation.palette import label_colors
from ovs3d.exports.coordinates import Frame
from ovs3d.exports.objects import SceneObject
from ovs3d.files import atomic_path

ROOT, _WORLD = "/upright", "/world"
"""Nodes that no label is called like. The first turns the frame below it so that +y is up."""


def write_glb(
    path: Path, objects: Sequence[SceneObject], labels: Sequence[str], frame: Frame
) -> None:
    """Write binary glTF in the colours of the photos.

    Args:
        path: the file.
        objects: in the unit scene.
        labels: names of all labels; `extras` of their nodes hold index and colour.
        frame: to write the coordinates in.
    """
    scene = trimesh.Scene(base_frame=_WORLD)
    scene.graph.update(frame_from=_WORLD, frame_to=ROOT, matrix=_upright(frame.up))
    colors = label_colors(len(labels)).tolist()
    for label in sorted({each.label for each in objects}):
        extras = {"label": labels[label], "index": label, "color": colors[label]}
        scene.graph.update(frame_from=ROOT, frame_to=labels[label], metadata=extras)
    for each in objects:
        mesh = each.mesh.moved(frame.from_unit)
        geometry = trimesh.Trimesh(
            mesh.vertices, mesh.faces, vertex_colors=mesh.colors, process=False
        )
        scene.add_geometry(
            geometry,
            node_name=each.name,
            geom_name=each.name,
            parent_node_name=labels[each.label],
        )
    content = scene.export(file_type="glb", include_normals=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _upright(up: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation [4, 4] that takes the direction `up` to +y."""
    return np.asarray(trimesh.geometry.align_vectors(up, [0.0, 1.0, 0.0]))
