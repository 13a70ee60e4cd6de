"""Colours of pieces of surface in each layer: their own, by label, by depth, by relevancy."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ovs3d.evaluation.palette import blend, color_table, viridis
from ovs3d.photos.dataset import NO_LABEL

Layer = Literal["colours", "labels", "depth", "relevancy"]
LAYERS: tuple[Layer, ...] = get_args(Layer)

_LABEL_OPACITY = 0.65
_HEAT_OPACITY = 0.75
_DIMMED = 0.5
_SCALE = viridis(np.linspace(0.0, 1.0, 256))
_LEAST_RANGE = 0.05
"""Of relevancy above the threshold: less is noise, and not stretched over all colours."""


@dataclass(frozen=True, eq=False)
class Answer:
    """How well a text fits the points of a language volume.

    Attributes:
        relevancy: float32 [P] in [0, 1].
        threshold: from which on it counts as found.
    """

    relevancy: NDArray[np.float32]
    threshold: float

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the relevancy of some points [K]; 0 for the row -1, which is none."""
        found = self.relevancy[np.maximum(rows, 0)]
        return np.where(rows < 0, np.float32(0), found)


@dataclass(frozen=True, eq=False)
class Look:
    """How a scene is shown.

    Attributes:
        layer: what colours mean.
        hidden: indices of labels that are not drawn.
        answer: to the text that was asked for, if any.
    """

    layer: Layer = "colours"
    hidden: frozenset[int] = frozenset()
    answer: Answer | None = None


@dataclass(frozen=True, eq=False)
class Pieces:
    """K pieces of surface: splats, or what the pixels of a picture see.

    Attributes:
        colors: uint8 [K, 3].
        labels: uint8 [K], `NO_LABEL` where there is none.
        rows: int64 [K], which point of the language volume stands for them; -1 for none.
    """

    colors: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    rows: NDArray[np.int64]


def paint(pieces: Pieces, look: Look, labels: int) -> NDArray[np.uint8]:
    """Return the colours [K, 3] of pieces in any layer but depth.

    Args:
        pieces: K of them.
        look: the layer, and what it needs.
        labels: number of labels of the scene.
    """
    if look.layer == "labels":
        tinted = blend(pieces.colors, color_table(labels)[pieces.labels], _LABEL_OPACITY)
        return np.where(pieces.labels[:, None] == NO_LABEL, pieces.colors, tinted)
    if look.layer == "relevancy":
        dimmed = blend(pieces.colors, np.zeros_like(pieces.colors), 1 - _DIMMED)
        return dimmed if look.answer is None else _heat(dimmed, look.answer, pieces.rows)
    return pieces.colors


def paint_depth(depth: NDArray[np.float32], near: float, far: float) -> NDArray[np.uint8]:
    """Colour z-depths of any shape, near ones bright; black where there is none (infinity, 0).

    Args:
        depth: world units.
        near: gets the brightest colour.
        far: gets the darkest.
    """
    # Nearness has even steps of parallax, and is finite for whatever is infinitely far.
    with np.errstate(divide="ignore"):
        nearness = (1 / depth - 1 / far) / max(1 / near - 1 / far, 1e-9)
    levels = (nearness.clip(0, 1) * 255).astype(np.uint8)
    some = np.isfinite(depth) & (depth > 0)
    return np.where(some[..., None], _SCALE[levels], np.uint8(0))


def _heat(dimmed: NDArray[np.uint8], answer: Answer, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Lay the colours of relevancy over what it is above the threshold of."""
    relevancy, low = answer.of(rows), answer.threshold
    high = max(float(answer.relevancy.max(initial=0)), low + _LEAST_RANGE)
    found = relevancy >= low
    levels = ((relevancy - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)
    return np.where(found[:, None], blend(dimmed, _SCALE[levels], _HEAT_OPACITY), dimmed)
