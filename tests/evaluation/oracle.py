"""A stand-in for a trained segmentation: it knows the synthetic world exactly."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.synthetic import LABELS, cast_rays

SCALES = 3


@dataclass(frozen=True)
class OracleRays:
    """The attributes of `ovs3d.distill.model.RenderedRays`."""

    color: Tensor
    depth: Tensor
    opacity: Tensor
    logits: Tensor
    selection: Tensor


class OracleSegmentation:
    """Has the attributes of `ovs3d.distill.model.Segmentation` that evaluation and apps use."""

    labels: tuple[str, ...] = LABELS

    def __init__(self, opacity: float = 1.0) -> None:
        self.opacity = opacity

    def render(self, origins: Tensor, directions: Tensor) -> OracleRays:
        """Cast rays; the colour is grey by label, the scale is the label modulo their number."""
        depth, label = cast_rays(origins, directions)
        # Boxes are see-through when asked, floor and wall never are.
        opacity = torch.where(label < 3, self.opacity, 1.0)
        logits = torch.nn.functional.one_hot(label, len(LABELS)).float() * 0.5 - 0.1
        selection = torch.full((len(label), SCALES), 0.1)
        selection[torch.arange(len(label)), label % SCALES] = 1 - 0.1 * (SCALES - 1)
        color = (label[:, None] / len(LABELS)).expand(-1, 3)
        return OracleRays(color, depth, opacity, logits, selection)


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return the content of every file under a folder by its relative path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def label_map(rows: list[list[int]]) -> NDArray[np.uint8]:
    """Make a label map from nested lists."""
    return np.array(rows, dtype=np.uint8)
