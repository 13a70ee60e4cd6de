"""Things: connected pieces of a surface."""

import numpy as np
import pytest
import torch
import trimesh

from ovs3d.evaluation.segment import SegmentedView, segment_view
from ovs3d.exports.masks import Instances, photo_sized
from ovs3d.exports.objects import find_objects
from ovs3d.exports.surface import Mesh, Seen, fuse
from ovs3d.photos.dataset import NO_LABEL
from tests.evaluation.oracle import OracleSegmentation
from tests.synthetic import LABELS, SyntheticScene


def _boxes(*boxes: tuple[float, float, int]) -> Mesh:
    """Return boxes given by place on the x axis, side and label."""
    parts = []
    for x, side, _ in boxes:
        box = trimesh.creation.box((side, side, side))
        parts.append((box.vertices + np.array([x, 0, 0]), box.faces))
    counts = [len(vertices) for vertices, _ in parts]
    starts = np.cumsum([0, *counts[:-1]])
    vertices = np.concatenate([vertices for vertices, _ in parts])
    faces = np.concatenate([faces + s for (_, faces), s in zip(parts, starts, strict=True)])
    labels = np.repeat([label for *_, label in boxes], counts).astype(np.uint8)
    colors = np.zeros((len(vertices), 3), np.uint8)
    return Mesh(vertices, faces, colors, labels, np.ones(len(vertices), np.float32))


def test_pieces_of_one_label_are_things_by_size_and_splinters_are_not() -> None:
    mesh = _boxes((0, 1, 1), (5, 2, 1), (9, 0.1, 1), (20, 1, 0))
    objects, splinters = find_objects(mesh, ("wall", "cup"), (0, 1))
    assert [each.name for each in objects] == ["wall/1", "cup/1", "cup/2"]
    assert [each.number for each in objects] == [1, 2, 3]
    assert objects[1].mesh.vertices[:, 0].mean() == pytest.approx(5)
    assert splinters[0] == 0
    assert splinters[1] == pytest.approx(0.06 / 30.06)


def test_a_label_without_surface_has_no_things() -> None:
    objects, splinters = find_objects(_boxes((0, 1, 0)), ("wall", "cup"), (0, 1))
    assert [each.name for each in objects] == ["wall/1"]
    assert splinters[1] == 0


def test_two_things_of_one_label_are_two_instances_in_every_photo(scene: SyntheticScene) -> None:
    model = OracleSegmentation()

    def same_label(labels: np.ndarray) -> np.ndarray:
        return np.where(labels == LABELS.index("blue box"), LABELS.index("red box"), labels)

    seen = {}
    for view in scene.cameras.views:
        each = Seen.of(segment_view(model, scene.cameras, view, 1, torch.device("cpu")), 0.2)
        seen[view] = Seen(
            each.depth, same_label(each.labels).astype(np.uint8), each.confidence, each.picture
        )
    mesh = fuse(seen, scene.cameras, 1, len(LABELS))
    objects, _ = find_objects(mesh, LABELS, (0,))
    assert [each.name for each in objects] == ["red box/1", "red box/2"]
    instances = Instances(objects, scene.cameras, 1)
    for view, each in seen.items():
        truth = scene.label_maps[view].numpy()
        found = {
            thing.number if thing else 0: mask
            for _, thing, mask in instances.masks(view, each, each.labels, (0,))
        }
        assert set(found) == {1, 2}
        for name in ("red box", "blue box"):
            own = truth == LABELS.index(name)
            overlaps = [(mask & own).sum() / (mask | own).sum() for mask in found.values()]
            assert max(overlaps) == 1


def test_an_empty_box_has_an_empty_surface(scene: SyntheticScene) -> None:
    shape = (scene.cameras.height, scene.cameras.width)
    nothing = Seen(
        np.zeros(shape, np.float32),
        np.full(shape, NO_LABEL, np.uint8),
        np.zeros(shape, np.float16),
        np.zeros((*shape, 3), np.uint8),
    )
    mesh = fuse({0: nothing}, scene.cameras, 1, len(LABELS))
    assert mesh.faces.shape == (0, 3)
    objects, _ = find_objects(mesh, LABELS, range(len(LABELS)))
    assert objects == []


def test_masks_at_the_photos_size_interpolate_scores_and_repeat_the_remainder() -> None:
    logits = np.array([[[1.0, 0.0], [0.0, 1.0]]], np.float32)
    empty = np.zeros((1, 2), np.float32)
    view = SegmentedView(np.zeros((1, 2, 3), np.float32), empty, empty + 1, logits, logits)
    large = photo_sized(view, 9, 4)
    assert large.shape == (4, 9)
    assert large[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1]
    hollow = SegmentedView(view.color, empty, empty + 0.2, logits, logits)
    assert (photo_sized(hollow, 8, 4) == NO_LABEL).all()
