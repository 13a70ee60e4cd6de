"""What a row works with: one scene, its parameters and what the pipeline's stages made of it."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovs3d.device import resolve_device
from ovs3d.distill.inputs import DistillInputs
from ovs3d.evaluation.segment import Segmenter, segment_view
from ovs3d.features.clip import load_clip
from ovs3d.field.checkpoint import load_field
from ovs3d.field.model import Field
from ovs3d.params import SceneParams
from ovs3d.photos.labels import named
from studies.scenes import Scene

LabelMaps = Mapping[int, NDArray[np.uint8]]
"""View index -> label index, or `NO_LABEL`, [h, w] at photo / `evaluate.downscale`."""


@dataclass(frozen=True, eq=False)
class Case:
    """One scene, one row, one seed.

    Attributes:
        scene: whose products these are.
        params: of the row.
        arguments: of stage distill: the folders of its inputs and `out`, the row's own.
        inputs: opened products.
        views: to label.
    """

    scene: Scene
    params: SceneParams
    arguments: argparse.Namespace
    inputs: DistillInputs
    views: tuple[int, ...]

    @property
    def device(self) -> torch.device:
        """Where everything is computed."""
        return resolve_device(self.params.device)

    @property
    def out(self) -> Path:
        """A folder for the row's own files, removed when the row is finished."""
        folder: Path = self.arguments.out
        return folder

    @property
    def downscale(self) -> int:
        """Photo pixels per pixel of the label maps."""
        return self.params.stages.evaluate.downscale

    @cached_property
    def field(self) -> Field:
        """The reconstruction."""
        return load_field(self.arguments.reconstruct / "field.safetensors", self.device)

    def encode(self, texts: tuple[str, ...]) -> Tensor:
        """Embed texts as stage distill embeds labels: [n, D] unit vectors."""
        section = self.params.stages.clip_features
        encoder = load_clip(section.model, section.weights, self.device)
        return encoder.encode_text([*map(named, texts)], self.params.stages.distill.templates)

    def segment(self, model: Segmenter) -> dict[int, NDArray[np.uint8]]:
        """Render the views through a segmentation."""
        cameras, downscale = self.inputs.cameras, self.downscale
        return {
            view: segment_view(model, cameras, view, downscale, self.device).label_map
            for view in self.views
        }
