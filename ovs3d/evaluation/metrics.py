"""How well label maps agree with masks: IoU, accuracy and the confusion matrix.

Two protocols (DESIGN section 4), which differ where masks overlap or leave gaps. C labels.

- Ours: every pixel has one true label, of overlapping masks that of the later one; pixels that no
  mask covers are ignored. All of it follows from one matrix per view, `counts`, int64
  [C + 1, C + 1]: rows are the true labels, the last row the pixels that no mask covers; columns are
  the predicted labels, the last column the pixels whose ray met nothing.
- The paper's, as released: every label's mask is scored on its own, so that a pixel under two masks
  is missing from one of them whatever was predicted, and one under none is wrong.

In both, an unlabelled prediction is wrong where a mask covers it, and a label that is neither in
the truth nor predicted in a view is left out of the mean. (The released code counts it as 0; in its
data every view has every label.)
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ovs3d.evaluation.palette import UNLABELLED
from ovs3d.photos.dataset import NO_LABEL

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


def iou_per_class(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the intersection over union of every label in our protocol.

    Args:
        counts: int64 [C + 1, C + 1] of one view.

    Returns:
        float64 [C] in [0, 1]; NaN for a label that is neither in the truth nor predicted.
    """
    covered = counts[:-1]
    intersection = np.diagonal(covered)
    return _ratio(intersection, covered.sum(axis=1) + covered.sum(axis=0)[:-1] - intersection)


def accuracy(counts: NDArray[np.int64]) -> float | None:
    """Compute the share of covered pixels whose label is right; None if there are none.

    Args:
        counts: int64 [C + 1, C + 1] of one view, or the sum over views.
    """
    total = int(counts[:-1].sum())
    return float(np.trace(counts[:-1])) / total if total else None


@dataclass(frozen=True, eq=False)
class PaperScore:
    """One view in the paper's protocol.

    Attributes:
        ious: float64 [C]; NaN for a label that is neither in the truth nor predicted.
        accuracy: share of all pixels that are under the mask of the predicted label and no other.
    """

    ious: NDArray[np.float64]
    accuracy: float


def paper_score(masks: NDArray[np.bool_], prediction: NDArray[np.uint8]) -> PaperScore:
    """Compare the pixels of each label with its mask, as scikit-learn does with multilabel data.

    Args:
        masks: bool [C, h, w].
        prediction: label indices [h, w], `NO_LABEL` where the ray met nothing.
    """
    alone = masks.sum(axis=0) == 1
    intersections, unions, right = [], [], 0
    for label, mask in enumerate(masks):
        predicted = prediction == label
        hit = mask & predicted
        intersections.append(hit.sum())
        unions.append((mask | predicted).sum())
        right += int((hit & alone).sum())
    return PaperScore(_ratio(np.array(intersections), np.array(unions)), right / prediction.size)


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


def _ratio(intersection: NDArray[np.int64], union: NDArray[np.int64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.asarray(intersection / np.where(union > 0, union, np.nan), dtype=np.float64)


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
