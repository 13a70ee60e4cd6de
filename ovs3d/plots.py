"""Plots, drawn by matplotlib without a display and without its global state."""

import warnings
from pathlib import Path

from matplotlib.figure import Figure

from ovs3d.files import atomic_path


def save_plot(plot: Figure, path: Path) -> None:
    """Write a plot as PNG, atomically and without anything that differs between runs."""
    with atomic_path(path) as temporary, warnings.catch_warnings():
        # Letters that the font lacks are boxes, as in `ovs3d.evaluation.drawing`.
        warnings.filterwarnings("ignore", "Glyph")
        plot.savefig(temporary, format="png", bbox_inches="tight", metadata={"Software": None})
