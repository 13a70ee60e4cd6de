"""Pictures of rendered views: colour, labels, depth and relevancy, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ovs3d.evaluation.drawing import legend
from ovs3d.evaluation.figures import label_entries, overlay
from ovs3d.evaluation.palette import NO_LABEL_COLOR, UNLABELLED, viridis
from ovs3d.evaluation.segment import SegmentedView
from ovs3d.field.render import MIN_OPACITY

KINDS = ("color", "label", "depth", "relevancy")


@dataclass(frozen=True)
class Look:
    """How pictures of a scene look.

    Attributes:
        kinds: some of `KINDS`, from left to right.
        labels: names of all labels.
        depths: nearest and farthest depth, which get the ends of the colour scale.
    """

    kinds: Sequence[str]
    labels: Sequence[str]
    depths: tuple[float, float] = (1.0, 2.0)


def picture(
    rendered: SegmentedView, look: Look, relevancy: NDArray[np.float32] | None = None
) -> NDArray[np.uint8]:
    """Set pictures of a view side by side, over a legend where labels are among them.

    Args:
        rendered: at h x w pixels.
        look: which pictures.
        relevancy: [h, w] in [0, 1]; needed where it is among the kinds.

    Returns:
        [h or more, w times the number of kinds, 3]; all views of a scene have one size.
    """
    panels = []
    for kind in look.kinds:
        match kind:
            case "color":
                panels.append(rendered.picture)
            case "label":
                panels.append(overlay(rendered.picture, rendered.label_map, len(look.labels)))
            case "depth":
                panels.append(_depth(rendered, *look.depths))
            case _:
                assert relevancy is not None, "relevancy of what?"
                panels.append(viridis(relevancy))
    pictures = np.concatenate(panels, axis=1)
    if "label" not in look.kinds:
        return pictures
    # Whether a frame has such pixels or not: all frames of a video have one size.
    entries = [*label_entries(look.labels), (UNLABELLED, NO_LABEL_COLOR)]
    return np.concatenate([pictures, np.asarray(legend(entries, pictures.shape[1]))], axis=0)


def _depth(rendered: SegmentedView, near: float, far: float) -> NDArray[np.uint8]:
    """Paint depth, near is bright, even in its reciprocal; black where the ray met nothing."""
    closeness = (1 / rendered.depth.clip(min=near) - 1 / far) / max(1 / near - 1 / far, 1e-9)
    painted = viridis(closeness)
    painted[rendered.opacity < MIN_OPACITY] = NO_LABEL_COLOR
    return painted
