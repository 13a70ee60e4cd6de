"""Label metrics against a case worked out by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, jaccard_score

from ovs3d.evaluation.metrics import (
    accuracy,
    confusion_matrix,
    confusion_rows,
    iou_by_label,
    iou_per_class,
    miou,
)
from ovs3d.scene.dataset import NO_LABEL
from tests.evaluation.oracle import label_map

# Four pixels, three labels: 0 once right and once taken for 1, 1 right, 2 nowhere, one uncovered.
TRUTH = label_map([[0, 0], [1, NO_LABEL]])
PREDICTION = label_map([[0, 1], [1, 0]])


def test_confusion_matrix_hand_case() -> None:
    counts = confusion_matrix(TRUTH, PREDICTION, 3)
    assert counts.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]


def test_unlabelled_predictions_are_wrong_where_a_mask_covers() -> None:
    prediction = label_map([[0, NO_LABEL], [NO_LABEL, NO_LABEL]])
    counts = confusion_matrix(TRUTH, prediction, 3)
    assert counts.tolist() == [[1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 1]]
    # Label 0: 1 of 2, label 1: 0 of 1; 1 of 3 covered pixels, 1 of all 4.
    for uncovered_wrong, right in ((False, 1 / 3), (True, 1 / 4)):
        ious = iou_per_class(counts, uncovered_wrong)
        assert ious[:2].tolist() == [0.5, 0.0]
        assert np.isnan(ious[2])
        assert accuracy(counts, uncovered_wrong) == pytest.approx(right)


def test_unlabelled_predictions_match_scikit_learn() -> None:
    generator = np.random.default_rng(7)
    truth = generator.integers(0, 4, (40, 30)).astype(np.uint8)
    prediction = generator.choice([0, 1, 2, 3, NO_LABEL], truth.shape).astype(np.uint8)
    counts = confusion_matrix(truth, prediction, 4)
    pixels = truth.ravel(), prediction.ravel()
    expected = jaccard_score(*pixels, labels=range(4), average=None)
    assert iou_per_class(counts) == pytest.approx(expected, abs=1e-12)
    assert accuracy(counts) == pytest.approx(accuracy_score(*pixels))


def test_confusion_matrix_rejects_other_shape() -> None:
    with pytest.raises(ValueError, match="truth is"):
        confusion_matrix(TRUTH, PREDICTION[:1], 3)


@pytest.mark.parametrize(
    ("uncovered_wrong", "ious", "right"),
    [
        # Label 0: 1 of {2 true + 0}; label 1: 1 of {1 true + 1}; 2 of 3 covered pixels.
        pytest.param(False, [1 / 2, 1 / 2], 2 / 3, id="uncovered ignored"),
        # The uncovered pixel joins the union of label 0: 1 of 3; 2 of 4 pixels.
        pytest.param(True, [1 / 3, 1 / 2], 2 / 4, id="uncovered wrong"),
    ],
)
def test_metrics_hand_case(uncovered_wrong: bool, ious: list[float], right: float) -> None:
    counts = confusion_matrix(TRUTH, PREDICTION, 3)
    result = iou_per_class(counts, uncovered_wrong)
    assert result[:2] == pytest.approx(ious)
    assert np.isnan(result[2])
    assert miou([result]) == pytest.approx(sum(ious) / 2)
    assert accuracy(counts, uncovered_wrong) == pytest.approx(right)


def test_miou_averages_views_and_labels_alike() -> None:
    views = [np.array([1.0, np.nan, np.nan]), np.array([0.0, 0.5, np.nan])]
    assert miou(views) == pytest.approx(0.5)
    assert iou_by_label(views, ["a", "b", "c"]) == pytest.approx({"a": 0.5, "b": 0.5})


def test_metrics_without_pixels_are_none() -> None:
    nothing = confusion_matrix(np.full((2, 2), NO_LABEL, np.uint8), PREDICTION, 3)
    assert accuracy(nothing) is None
    assert accuracy(nothing, uncovered_wrong=True) == 0.0
    assert miou([iou_per_class(nothing)]) is None
    assert miou([]) is None


@pytest.mark.parametrize("seed", range(3))
def test_metrics_match_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 6, (40, 30)).astype(np.uint8)
    prediction = np.where(generator.random(truth.shape) < 0.6, truth, truth // 2).astype(np.uint8)
    counts = confusion_matrix(truth, prediction, 7)
    expected = jaccard_score(truth.ravel(), prediction.ravel(), labels=range(6), average=None)
    assert iou_per_class(counts)[:6] == pytest.approx(expected, abs=1e-12)
    assert accuracy(counts) == pytest.approx(accuracy_score(truth.ravel(), prediction.ravel()))


def test_paper_protocol_matches_scikit_learn_on_masks() -> None:
    """The released code scores stacks of masks, in which uncovered pixels are in no mask."""
    generator = np.random.default_rng(5)
    truth = generator.choice([0, 1, 2, NO_LABEL], (40, 30)).astype(np.uint8)
    prediction = generator.integers(0, 3, truth.shape).astype(np.uint8)
    stacks = [(labels.ravel()[:, None] == np.arange(3)) for labels in (truth, prediction)]
    counts = confusion_matrix(truth, prediction, 3)
    assert iou_per_class(counts, uncovered_wrong=True) == pytest.approx(
        jaccard_score(*stacks, average=None)
    )
    assert accuracy(counts, uncovered_wrong=True) == pytest.approx(accuracy_score(*stacks))


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
