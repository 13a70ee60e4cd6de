"""The plot of a confusion matrix."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ovs3d.evaluation.drawing import distinct
from ovs3d.evaluation.palette import UNLABELLED

_CELL = 0.56
"""Inches of a side of a cell."""


def confusion_plot(counts: NDArray[np.int64], labels: Sequence[str]) -> Figure:
    """Draw the confusion matrix; each row in percent of the pixels of its true label.

    Args:
        counts: int64 [C + 1, C + 1]; the last row (no mask) and the last column (unlabelled) are
            drawn if they have pixels.
        labels: names of the C labels.
    """
    labels = distinct(labels)
    names = [*labels, "no mask"] if counts[-1].any() else labels
    columns = [*labels, UNLABELLED] if counts[:, -1].any() else labels
    rows = counts[: len(names)]
    shares = (rows / rows.sum(axis=1, keepdims=True).clip(min=1))[:, : len(columns)]
    plot = Figure(figsize=(_CELL * len(columns), _CELL * len(names)))
    # The cells are all of the plot; names and captions are around it.
    axes = plot.add_axes((0, 0, 1, 1))
    axes.imshow(shares, vmin=0, vmax=1)
    axes.set_xticks(range(len(columns)), columns, rotation="vertical", parse_math=False)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set(xlabel="prediction", ylabel="mask", title="percent of the row")
    for (row, column), share in np.ndenumerate(shares):
        # Dark ink on the light end of the scale.
        ink = "black" if share > 0.6 else "white"
        axes.text(column, row, f"{100 * share:.1f}", ha="center", va="center", color=ink)
    return plot
