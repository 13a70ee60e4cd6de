"""The registry of object models, and their fit into the size that the vocabulary states."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tools.scenes import shapes_food, shapes_home, shapes_toys
from tools.scenes.solids import Part
from tools.scenes.vocabulary import KINDS

MODELS: dict[str, Callable[[], list[Part]]] = {
    name: getattr(module, name.replace(" ", "_"))
    for name in KINDS
    for module in (shapes_food, shapes_home, shapes_toys)
    if hasattr(module, name.replace(" ", "_"))
}


def model(kind: str) -> list[Part]:
    """Return the parts of a kind, standing on z = 0 and centred, within its stated cylinder."""
    parts = MODELS[kind]()
    points = np.concatenate([part.vertices for part in parts])
    low, high = points.min(axis=0), points.max(axis=0)
    origin = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    centered = points - origin
    reach = np.hypot(centered[:, 0], centered[:, 1]).max()
    size = KINDS[kind]
    # Uniform, so that the stated sizes bound every model without distorting it.
    factor = min(size.radius / reach, size.height / centered[:, 2].max())
    return [replace(part, vertices=(part.vertices - origin) * factor) for part in parts]
