"""Bringing a data set of another tool into a project, and its poses out of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ovs3d.apps.cli import main
from ovs3d.params import load_scene_params
from ovs3d.photos.dataset import open_photos
from ovs3d.poses.sfm import PosesReport, reconstruct_poses
from ovs3d.space.cameras import Cameras, load_cameras

CPU = torch.device("cpu")

VIEWS = 9


def import_scene(source: Path, *words: str) -> int:
    return main(["new-scene", "scene", str(source), "--preset", "tiny", "--labels", "a", *words])


def find_poses(project: Path) -> tuple[PosesReport, Cameras, Callable[[Any], Any]]:
    """Run stage poses; return its report, its cameras and the map of its world."""
    params = load_scene_params(project / "params.yaml", "scene").stages.poses
    photos = open_photos(project / "data/raw/scene/images")
    report = reconstruct_poses(photos, params, 0, project / "poses", CPU)
    map_ = json.loads((project / "poses/sfm/transform.json").read_text())

    def unit(points: Any) -> Any:
        return map_["scale"] * points @ np.array(map_["rotation"]).T + map_["translation"]

    return report, load_cameras(project / "poses/cameras.json"), unit
