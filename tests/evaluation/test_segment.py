"""Rendering of a view and reduction of masks."""

import numpy as np
import pytest
import torch

from ovs3d.evaluation.segment import segment_view, shrink_labels, top_labels
from ovs3d.photos.dataset import NO_LABEL
from tests.evaluation.oracle import SCALES, OracleSegmentation, label_map
from tests.synthetic import LABELS, SyntheticScene

CPU = torch.device("cpu")


def test_segment_view_sees_what_is_there(scene: SyntheticScene) -> None:
    view = segment_view(OracleSegmentation(), scene.cameras, 2, 1, CPU)
    size = tuple(scene.label_maps.shape[1:])
    assert view.logits.shape == (*size, len(LABELS))
    assert view.selection.shape == (*size, SCALES)
    assert view.color.shape == (*size, 3)
    assert np.array_equal(view.label_map, scene.label_maps[2].numpy())
    assert np.allclose(view.depth, scene.depths[2].numpy(), atol=1e-4)
    assert view.picture.dtype == np.uint8


@pytest.mark.parametrize(("opacity", "seen"), [(0.49, False), (0.5, True)])
def test_rays_that_meet_too_little_have_no_label(
    scene: SyntheticScene, opacity: float, seen: bool
) -> None:
    view = segment_view(OracleSegmentation(opacity), scene.cameras, 2, 1, CPU)
    truth = scene.label_maps[2].numpy()
    boxes = truth < LABELS.index("floor")
    assert boxes.any()
    expected = truth if seen else np.where(boxes, NO_LABEL, truth)
    assert np.array_equal(view.label_map, expected)
    assert view.label_map.dtype == np.uint8


def test_segment_view_crops_what_downscale_does_not_divide(scene: SyntheticScene) -> None:
    view = segment_view(OracleSegmentation(), scene.cameras, 0, 7, CPU)
    assert view.label_map.shape == (scene.cameras.height // 7, scene.cameras.width // 7)
    # The centre of a 7 x 7 block is the centre of its middle pixel.
    assert np.array_equal(view.label_map, shrink_labels(scene.label_maps[0].numpy(), 7))


def test_shrink_labels_takes_the_centre() -> None:
    labels = label_map([[0, 1, 2, 9], [3, 4, 5, 9], [6, 7, 8, 9]])
    assert shrink_labels(labels, 3).tolist() == [[4]]
    assert shrink_labels(labels, 2).tolist() == [[4, 9]]
    assert np.array_equal(shrink_labels(labels, 1), labels)
    assert shrink_labels(np.stack([labels, labels + 10]), 3).tolist() == [[[4]], [[14]]]


def test_later_labels_lie_on_top() -> None:
    masks = np.array([[[1, 1, 0, 0, 1]], [[0, 1, 1, 0, 0]], [[0, 0, 0, 0, 1]]], dtype=bool)
    assert top_labels(masks).tolist() == [[0, 1, 1, NO_LABEL, 2]]
