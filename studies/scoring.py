"""Label maps against masks, by the numbers of stage evaluate."""

from typing import Any

import numpy as np

from ovs3d.evaluation.metrics import accuracy, confusion_matrix, iou_by_label, iou_per_class, miou
from ovs3d.evaluation.segment import shrink_labels, top_labels
from ovs3d.photos.masks import read_masks, unpack_masks
from studies.case import Case, LabelMaps

_DIGITS = 6


def score(case: Case, label_maps: LabelMaps) -> dict[str, Any]:
    """Score label maps as stage evaluate does.

    Args:
        case: knows the masks and the labels.
        label_maps: of all of the case's views.

    Returns:
        `miou`, `accuracy`, `per_view` (mIoU) and `per_class` (IoU).
    """
    labels = case.inputs.labels
    masks = read_masks(case.scene.segmentations, labels, case.inputs.photos)
    counts = {}
    for view in case.views:
        own = unpack_masks(shrink_labels(masks[view], case.downscale), len(labels))
        counts[view] = confusion_matrix(top_labels(own), label_maps[view], len(labels))
    ious = {view: iou_per_class(count) for view, count in counts.items()}
    return {
        "miou": _rounded(miou(ious.values())),
        "accuracy": _rounded(accuracy(np.sum(list(counts.values()), axis=0))),
        "per_view": {str(view): _rounded(miou([iou])) for view, iou in ious.items()},
        "per_class": {
            label: _rounded(iou) for label, iou in iou_by_label(list(ious.values()), labels).items()
        },
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
