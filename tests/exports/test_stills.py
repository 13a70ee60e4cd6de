"""Pictures of a view, side by side."""

import numpy as np
import torch

from ovs3d.evaluation.palette import NO_LABEL_COLOR, viridis
from ovs3d.evaluation.segment import segment_view
from ovs3d.exports.stills import Look, picture
from tests.evaluation.oracle import OracleSegmentation
from tests.synthetic import LABELS, SyntheticScene


def test_kinds_stand_in_the_order_that_was_asked_for(scene: SyntheticScene) -> None:
    view = segment_view(OracleSegmentation(), scene.cameras, 0, 1, torch.device("cpu"))
    height, width = view.label_map.shape
    relevancy = np.linspace(0, 1, height * width, dtype=np.float32).reshape(height, width)
    frame = picture(view, Look(("relevancy", "color"), LABELS), relevancy)
    assert frame.shape == (height, 2 * width, 3)
    assert np.array_equal(frame[:, :width], viridis(relevancy))
    assert np.array_equal(frame[:, width:], view.picture)


def test_depth_has_one_scale_and_is_black_where_nothing_is(scene: SyntheticScene) -> None:
    view = segment_view(OracleSegmentation(0.2), scene.cameras, 0, 1, torch.device("cpu"))
    frame = picture(view, Look(("depth",), LABELS, (1.0, 5.0)))
    hollow = view.opacity < 0.5
    assert hollow.any()
    assert (frame[hollow] == NO_LABEL_COLOR).all()
    solid = ~hollow
    expected = viridis((1 / view.depth[solid] - 0.2) / 0.8)
    assert np.array_equal(frame[solid], expected)
