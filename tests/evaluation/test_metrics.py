"""Label metrics against a case worked out by hand and against scikit-learn."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, jaccard_score

from ovs3d.evaluation.metrics import (
    accuracy,
    confusion_matrix,
    confusion_rows,
    iou_by_label,
    iou_per_class,
    miou,
    paper_score,
)
from ovs3d.evaluation.segment import top_labels
from ovs3d.photos.dataset import NO_LABEL
from tests.evaluation.oracle import label_map

# Four pixels, three labels: 0 once right and once taken for 1, 1 right, 2 nowhere, one uncovered.
TRUTH = label_map([[0, 0], [1, NO_LABEL]])
PREDICTION = label_map([[0, 1], [1, 0]])


def masks_of(labels: NDArray[np.uint8], count: int) -> NDArray[np.bool_]:
    """Return the masks [count, h, w] of a label map."""
    return np.asarray(labels == np.arange(count)[:, None, None])


def test_confusion_matrix_hand_case() -> None:
    counts = confusion_matrix(TRUTH, PREDICTION, 3)
    assert counts.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]


def test_unlabelled_predictions_are_wrong_where_a_mask_covers() -> None:
    prediction = label_map([[0, NO_LABEL], [NO_LABEL, NO_LABEL]])
    counts = confusion_matrix(TRUTH, prediction, 3)
    assert counts.tolist() == [[1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 1]]
    paper = paper_score(masks_of(TRUTH, 3), prediction)
    # Label 0: 1 of 2, label 1: 0 of 1, in both protocols.
    for ious in (iou_per_class(counts), paper.ious):
        assert ious[:2].tolist() == [0.5, 0.0]
        assert np.isnan(ious[2])
    # One of 3 covered pixels, one of all 4.
    assert accuracy(counts) == pytest.approx(1 / 3)
    assert paper.accuracy == pytest.approx(1 / 4)


def test_confusion_matrix_rejects_other_shape() -> None:
    with pytest.raises(ValueError, match="truth is"):
        confusion_matrix(TRUTH, PREDICTION[:1], 3)


def test_metrics_hand_case() -> None:
    counts = confusion_matrix(TRUTH, PREDICTION, 3)
    paper = paper_score(masks_of(TRUTH, 3), PREDICTION)
    # Label 0: 1 of {2 true + 0}; label 1: 1 of {1 true + 1}; 2 of 3 covered pixels. In the paper's
    # protocol the uncovered pixel joins the union of label 0: 1 of 3; 2 of 4 pixels.
    for found, right, ious, share in (
        (iou_per_class(counts), accuracy(counts), [1 / 2, 1 / 2], 2 / 3),
        (paper.ious, paper.accuracy, [1 / 3, 1 / 2], 2 / 4),
    ):
        assert found[:2] == pytest.approx(ious)
        assert np.isnan(found[2])
        assert miou([found]) == pytest.approx(sum(ious) / 2)
        assert right == pytest.approx(share)


def test_overlapping_masks_by_hand() -> None:
    """Five pixels under label 0, 0 and 1, 0 and 1, 1, and no mask."""
    masks = np.array([[[1, 1, 1, 0, 0]], [[0, 1, 1, 1, 0]]], dtype=bool)
    prediction = label_map([[0, 0, 1, 1, 1]])
    counts = confusion_matrix(top_labels(masks), prediction, 2)
    # Where they overlap the later label counts: truth is 0, 1, 1, 1, none.
    assert iou_per_class(counts) == pytest.approx([1 / 2, 2 / 3])
    assert accuracy(counts) == pytest.approx(3 / 4)
    # Each on its own: label 0 has 2 of 3; label 1 has 2 of {3 true + the uncovered one}.
    paper = paper_score(masks, prediction)
    assert paper.ious == pytest.approx([2 / 3, 2 / 4])
    # Only the first and the fourth pixel have exactly the predicted label.
    assert paper.accuracy == pytest.approx(2 / 5)


def test_miou_averages_views_and_labels_alike() -> None:
    views = [np.array([1.0, np.nan, np.nan]), np.array([0.0, 0.5, np.nan])]
    assert miou(views) == pytest.approx(0.5)
    assert iou_by_label(views, ["a", "b", "c"]) == pytest.approx({"a": 0.5, "b": 0.5})


def test_metrics_without_pixels_are_none() -> None:
    nothing = confusion_matrix(np.full((2, 2), NO_LABEL, np.uint8), PREDICTION, 3)
    assert accuracy(nothing) is None
    assert paper_score(np.zeros((3, 2, 2), bool), PREDICTION).accuracy == 0.0
    assert miou([iou_per_class(nothing)]) is None
    assert miou([]) is None


@pytest.mark.parametrize("unlabelled", [False, True], ids=["all labelled", "some unlabelled"])
@pytest.mark.parametrize("gaps", [False, True], ids=["all covered", "gaps"])
@pytest.mark.parametrize("overlaps", [False, True], ids=["apart", "overlapping"])
@pytest.mark.parametrize(
    ("true_labels", "predicted_labels"),
    [
        pytest.param((0, 1, 2, 3, 4), (0, 1, 2, 3, 4), id="all there"),
        pytest.param((0, 1, 3), (0, 1, 2, 3, 4), id="some not in the truth"),
        pytest.param((0, 1, 2, 3, 4), (1, 4), id="some never predicted"),
        pytest.param((0, 1, 3), (1, 3, 4), id="some nowhere"),
    ],
)
def test_both_protocols_match_scikit_learn(
    true_labels: tuple[int, ...],
    predicted_labels: tuple[int, ...],
    overlaps: bool,
    gaps: bool,
    unlabelled: bool,
) -> None:
    """The released code gives stacks of masks, [pixels, labels], to the same two functions."""
    generator = np.random.default_rng(5)
    masks = masks_of(generator.choice(true_labels, (40, 30)).astype(np.uint8), 5)
    if overlaps:
        masks[list(true_labels)] |= generator.random((len(true_labels), 40, 30)) < 0.2
    if gaps:
        masks[:, generator.random((40, 30)) < 0.3] = False
    prediction = generator.choice(predicted_labels, (40, 30)).astype(np.uint8)
    if unlabelled:
        prediction[generator.random((40, 30)) < 0.1] = NO_LABEL
    there = sorted({*true_labels, *predicted_labels})

    # The paper's. A column for the gaps: no prediction is right in one, not even none at all.
    truth, predicted = masks.reshape(5, -1).T, masks_of(prediction, 5).reshape(5, -1).T
    with_gaps = np.column_stack([truth, ~truth.any(axis=1)])
    never = np.column_stack([predicted, np.zeros(len(predicted), bool)])
    paper = paper_score(masks, prediction)
    expected = jaccard_score(truth, predicted, average=None, zero_division=0)
    assert paper.ious[there] == pytest.approx(expected[there], abs=1e-12)
    assert paper.accuracy == pytest.approx(accuracy_score(with_gaps, never))

    # Ours, on the covered pixels.
    label_of = top_labels(masks)
    counts = confusion_matrix(label_of, prediction, 5)
    covered = label_of[label_of != NO_LABEL], prediction[label_of != NO_LABEL]
    expected = jaccard_score(*covered, labels=range(5), average=None, zero_division=0)
    assert iou_per_class(counts)[there] == pytest.approx(expected[there], abs=1e-12)
    assert accuracy(counts) == pytest.approx(accuracy_score(*covered))

    # Labels that are nowhere have no score, where scikit-learn has 0 for them.
    nowhere = [label for label in range(5) if label not in there]
    assert np.isnan(paper.ious[nowhere]).all()
    assert np.isnan(iou_per_class(counts)[nowhere]).all()


def test_confusion_rows_keep_proportions() -> None:
    counts = np.array([[5000, 2000, 500], [1, 2499, 0], [900, 900, 900]])
    lines = confusion_rows(counts, ["red, ripe", "b"]).splitlines()
    assert lines[0] == "actual,predicted"
    assert lines.count('"red, ripe","red, ripe"') == 500
    assert lines.count('"red, ripe",b') == 200
    assert lines.count('"red, ripe",unlabelled') == 50
    assert lines.count("b,b") == 250
    assert len(lines) == 1 + 1000


def test_confusion_rows_of_nothing_is_the_header() -> None:
    assert confusion_rows(np.zeros((3, 3), np.int64), ["a", "b"]) == "actual,predicted\n"
