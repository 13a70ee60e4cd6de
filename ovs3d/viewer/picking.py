"""What lies under the mouse."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ovs3d.viewer.camera import Pinhole
from ovs3d.viewer.paint import Look
from ovs3d.viewer.pictures import draw
from ovs3d.viewer.raster import NOTHING
from ovs3d.viewer.scene import OpenScene


@dataclass(frozen=True, eq=False)
class Picked:
    """A place in a scene.

    Attributes:
        position: float32 [3], world.
        depth: z-depth, world units.
        scores: pairs of a label and its cosine there, the best first; none without labels.
        relevancy: of the text that was asked for, in [0, 1]; None if none was.
    """

    position: NDArray[np.float32]
    depth: float
    scores: list[tuple[str, float]]
    relevancy: float | None


_REACH = 0.015
"""Between a click and what it means, as a share of the width: splats leave little holes."""


def pick(scene: OpenScene, how: Look, camera: Pinhole, place: tuple[float, float]) -> Picked | None:
    """Tell what a camera sees at a place in its picture; None if nothing.

    Args:
        scene: that is looked at.
        how: what is drawn of it.
        camera: who looks.
        place: x and y from the upper left corner, as shares in [0, 1] of width and height.
    """
    surface = scene.surface
    buffers = draw(surface, how.hidden, camera)
    pixel = _nearest(buffers.splat != NOTHING, place)
    if pixel is None:
        return None
    splat = int(buffers.splat[pixel])
    splats, answer = surface.splats, how.answer
    cosines = splats.logits[splat].astype(np.float32)
    best = np.argsort(-cosines, kind="stable")
    return Picked(
        splats.positions[splat],
        float(buffers.depth[pixel]),
        [(scene.labels[index], float(cosines[index])) for index in best],
        float(answer.of(surface.pieces.rows[splat : splat + 1])[0]) if answer else None,
    )


def _nearest(shown: NDArray[np.bool_], place: tuple[float, float]) -> tuple[int, int] | None:
    """Return the pixel, row and column, nearest to a place among those near it that show something.

    Args:
        shown: [h, w].
        place: as of `pick`.
    """
    size = np.array(shown.shape)
    middle = np.minimum((np.array(place[::-1]) * size).astype(int), size - 1)
    reach = round(_REACH * shown.shape[1])
    corner = np.maximum(middle - reach, 0)
    end = middle + reach + 1
    found = np.argwhere(shown[corner[0] : end[0], corner[1] : end[1]]) + corner
    if not len(found):
        return None
    row, column = found[np.square(found - middle).sum(axis=1).argmin()]
    return int(row), int(column)
