"""Labels in exports: which are wanted, their list, and label maps as indexed PNG."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovs3d.errors import SceneError, did_you_mean
from ovs3d.evaluation.drawing import save_png
from ovs3d.evaluation.palette import color_table, label_colors
from ovs3d.files import write_json


def chosen_labels(labels: Sequence[str], wanted: Sequence[str] | None) -> list[int]:
    """Return the indices of the labels that are wanted, in their order; of all for None.

    Raises:
        SceneError: one is no label of the scene.
    """
    if wanted is None:
        return list(range(len(labels)))
    for name in wanted:
        if name not in labels:
            raise SceneError(f"'{name}' is no label of this scene{did_you_mean(name, labels)}")
    return sorted({labels.index(name) for name in wanted})


def write_label_list(path: Path, labels: Sequence[str]) -> None:
    """Write names and colours of the labels in the order of their indices."""
    colors = label_colors(len(labels)).tolist()
    entries = zip(labels, colors, strict=True)
    write_json(path, [{"label": label, "color": color} for label, color in entries])


def write_label_map(path: Path, label_map: NDArray[np.uint8], count: int) -> None:
    """Write label indices [h, w], `NO_LABEL` among them, as a PNG in the labels' colours."""
    image = Image.fromarray(label_map)
    image.putpalette(color_table(count).tobytes())
    save_png(image, path)
