"""What the page about a scene is made of: photos, model, and what the stages left as files."""

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ovs3d.device import resolve_device
from ovs3d.distill.model import load_segmentation
from ovs3d.errors import StoreError, one_line
from ovs3d.evaluation.segment import Segmenter
from ovs3d.params import SceneParams
from ovs3d.photos.dataset import Photos, open_photos
from ovs3d.photos.masks import read_masks
from ovs3d.space.cameras import Cameras, load_cameras


@dataclass(frozen=True)
class ReportInputs:
    """What the page is about."""

    name: str
    data: Path
    """Holds `<stage>/<scene>` of every stage."""
    photos: Photos
    cameras: Cameras
    model: Segmenter
    masks: Mapping[int, NDArray[np.uint8]]
    """View index -> masks, packed as `read_masks` returns them."""
    parameters: Mapping[str, Any]
    """Those of the scene, presets and overrides resolved."""
    downscale: int
    device: torch.device

    def folder(self, stage: str) -> Path:
        """Return where a stage left its outputs of the scene."""
        return self.data / stage / self.name

    def metrics(self) -> dict[str, Any]:
        """Read `metrics.json`.

        Raises:
            StoreError: it is missing or damaged.
        """
        file = self.folder("evaluate") / "metrics.json"
        with _reading(file):
            content: dict[str, Any] = json.loads(file.read_text())
            if not {"per_class", "per_view", "protocol"} <= content.keys():
                raise ValueError("no metrics")
            return content

    def losses(self, stage: str) -> dict[str, list[float]]:
        """Read the loss curve of a training as column -> values.

        Raises:
            StoreError: it is missing or damaged.
        """
        file = self.folder(stage) / "loss.csv"
        with _reading(file), file.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
            return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else ())}

    def picture(self, stage: str, name: str) -> Image.Image:
        """Read a picture that a stage drew.

        Raises:
            StoreError: it is missing or damaged.
        """
        file = self.folder(stage) / name
        with _reading(file), Image.open(file) as image:
            image.load()
            return image


def open_report(
    name: str, images: Path, segmentations: Path, data: Path, params: SceneParams
) -> ReportInputs:
    """Read what the page is about.

    Args:
        name: of the scene.
        images: folder of its photos.
        segmentations: folder of its labels and masks.
        data: holds `<stage>/<scene>` of every stage.
        params: of the scene.

    Raises:
        Ovs3dError: a stage has not run yet, or what it left cannot be read.
    """
    device = resolve_device(params.device)
    cameras = load_cameras(data / "poses" / name / "cameras.json")
    model = load_segmentation(data / "distill" / name / "segmentation.safetensors", device)
    photos = open_photos(images)
    masks = read_masks(segmentations, model.labels, photos)
    # What it may take of memory changes nothing.
    parameters = params.model_dump(mode="json", exclude={"memory_budget"})
    downscale = params.stages.evaluate.downscale
    return ReportInputs(name, data, photos, cameras, model, masks, parameters, downscale, device)


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Tell of a file that cannot be read how to get it again."""
    try:
        yield
    except (OSError, ValueError, TypeError, AttributeError, SyntaxError) as error:
        stage, scene = file.parts[-3:-1]
        raise StoreError(
            f"{file}: cannot be read ({one_line(error)}); run `dvc repro {stage}@{scene}`"
        ) from None
