"""How well label maps agree with masks: IoU, accuracy and the confusion matrix.

Everything follows from one matrix per view. C labels; `counts` is int64 [C + 1, C + 1]: rows are
the true labels, the last row the pixels that no mask covers; columns are the predicted labels, the
last column the pixels whose ray met nothing. Unlabelled so, a pixel that a mask covers is wrong.

Two protocols (DESIGN section 4): ours ignores uncovered pixels (`counts[:-1]`), the paper's counts
each as wrong, whatever was predicted there.
"""

import csv
import io
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ovs3d.evaluation.palette import UNLABELLED
from ovs3d.scene.dataset import NO_LABEL

_PLOT_ROWS = 1000


def confusion_matrix(
    truth: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: int
) -> NDArray[np.int64]:
    """Count the pixels of one view by true and predicted label.

    Args:
        truth: label indices of any shape, `NO_LABEL` where no mask covers.
        prediction: label indices of the same shape, `NO_LABEL` where the ray met nothing.
        classes: number of labels C.

    Returns:
        int64 [C + 1, C + 1] counts; see the module's docstring.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape}, prediction {prediction.shape}")
    rows, columns = (
        np.where(labels == NO_LABEL, classes, labels).astype(np.int64).ravel()
        for labels in (truth, prediction)
    )
    side = classes + 1
    return np.bincount(rows * side + columns, minlength=side * side).reshape(side, side)


def iou_per_class(counts: NDArray[np.int64], uncovered_wrong: bool = False) -> NDArray[np.float64]:
    """Compute the intersection over union of every label.

    Args:
        counts: int64 [C + 1, C + 1] of one view.
        uncovered_wrong: use the paper's protocol, where uncovered pixels enlarge the union.

    Returns:
        float64 [C] in [0, 1]; NaN for a label that is neither in the truth nor predicted.
    """
    covered = counts[:-1]
    predicted = (counts if uncovered_wrong else covered).sum(axis=0)[:-1]
    intersection = np.diagonal(covered)
    union = covered.sum(axis=1) + predicted - intersection
    with np.errstate(invalid="ignore"):
        return np.asarray(intersection / np.where(union > 0, union, np.nan), dtype=np.float64)


def accuracy(counts: NDArray[np.int64], uncovered_wrong: bool = False) -> float | None:
    """Compute the share of pixels whose label is right; None if there are no pixels to judge.

    Args:
        counts: int64 [C + 1, C + 1] of one view, or the sum over views.
        uncovered_wrong: use the paper's protocol, where uncovered pixels count and are wrong.
    """
    total = int(counts.sum() if uncovered_wrong else counts[:-1].sum())
    return float(np.trace(counts[:-1])) / total if total else None


def miou(views: Iterable[NDArray[np.float64]]) -> float | None:
    """Average IoUs over views and labels, absent labels (NaN) left out; None if all are absent.

    Args:
        views: one float64 [C] of `iou_per_class` per view.
    """
    ious = np.concatenate([np.zeros(0), *views])
    present = ious[~np.isnan(ious)]
    return float(present.mean()) if len(present) else None


def iou_by_label(views: Sequence[NDArray[np.float64]], labels: Sequence[str]) -> dict[str, float]:
    """Average the IoU of each label over the views that have it; labels in no view are left out."""
    averages = {}
    for index, label in enumerate(labels):
        average = miou([view[index : index + 1] for view in views])
        if average is not None:
            averages[label] = average
    return averages


def confusion_rows(counts: NDArray[np.int64], labels: Sequence[str]) -> str:
    """Write the confusion matrix as the CSV that DVC's confusion plots read: one row per sample.

    The covered pixels are thinned out to `_PLOT_ROWS` rows in the same proportions (largest
    remainders), so that a row stands for the same share of them.

    Args:
        counts: int64 [C + 1, C + 1], summed over views.
        labels: names of the C labels.

    Returns:
        Text with a header line `actual,predicted`.
    """
    covered = counts[:-1].ravel()
    exact = covered * (_PLOT_ROWS / max(1, int(covered.sum())))
    rows = np.floor(exact).astype(np.int64)
    missing = (_PLOT_ROWS if covered.any() else 0) - int(rows.sum())
    # A stable sort: equal remainders go to the cells that come first.
    rows[np.argsort(rows - exact, kind="stable")[:missing]] += 1
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["actual", "predicted"])
    names = [*labels, UNLABELLED]
    for cell, repeats in enumerate(rows):
        actual, predicted = divmod(cell, len(names))
        writer.writerows([[names[actual], names[predicted]]] * int(repeats))
    return text.getvalue()
