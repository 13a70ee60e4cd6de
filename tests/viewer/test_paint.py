"""Colours of layers."""

import numpy as np

from ovs3d.evaluation.palette import label_colors
from ovs3d.photos.dataset import NO_LABEL
from ovs3d.viewer.paint import Answer, Look, Pieces, paint, paint_depth

GREY = np.full((4, 3), 100, dtype=np.uint8)
PIECES = Pieces(GREY, np.array([0, 1, 1, NO_LABEL], dtype=np.uint8), np.array([0, 1, 2, -1]))
ANSWER = Answer(np.array([0.4, 0.6, 0.9], dtype=np.float32), 0.5)


def test_colours_are_left_as_they_are() -> None:
    assert np.array_equal(paint(PIECES, Look("colours"), 2), GREY)


def test_labels_tint_what_has_one() -> None:
    painted = paint(PIECES, Look("labels"), 2).astype(float)
    expected = 100 * 0.35 + label_colors(2) * 0.65
    assert np.abs(painted[:2] - expected).max() <= 1
    assert np.array_equal(painted[1], painted[2])
    assert np.array_equal(painted[3], GREY[3])


def test_relevancy_colours_what_reaches_the_threshold_and_dims_the_rest() -> None:
    painted = paint(PIECES, Look("relevancy", answer=ANSWER), 2)
    dimmed = [50, 50, 50]
    assert painted[0].tolist() == dimmed
    assert painted[3].tolist() == dimmed
    # The peak has viridis' yellow, less relevant ones its darker end.
    assert painted[2].sum() > painted[1].sum() > sum(dimmed)


def test_relevancy_without_a_text_is_dim_everywhere() -> None:
    assert (paint(PIECES, Look("relevancy"), 2) == 50).all()


def test_near_is_bright_and_nothing_is_black() -> None:
    depth = np.array([[1.0, 2.0], [4.0, np.inf]], dtype=np.float32)
    painted = paint_depth(depth, 1.0, 4.0)
    brightness = painted.astype(int).sum(axis=-1)
    assert brightness[0, 0] > brightness[0, 1] > brightness[1, 0] > brightness[1, 1] == 0
    assert not paint_depth(np.zeros(1, np.float32), 1.0, 4.0).any()
