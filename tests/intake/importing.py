"""Bringing a data set of another tool into a project, changed or not, and its poses out of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ovs3d.apps.cli import main
from ovs3d.intake.importers import open_source
from ovs3d.params import load_scene_params
from ovs3d.photos.dataset import open_photos
from ovs3d.poses.sfm import PosesReport, reconstruct_poses
from ovs3d.space.cameras import Cameras, load_cameras
from tests.intake.formats import Truth, read_transforms, write_transforms

CPU = torch.device("cpu")

VIEWS = 9

Edit = Callable[[Path], object]
"""Changes a data set in its folder."""


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


def check_poses(root: Path, truth: Truth, missing: tuple[int, ...] = ()) -> None:
    """Check that every photo of a data set has the pose that is its own."""
    given = open_source(root, None).given
    assert given is not None
    images = {image.name: image for image in given.model.images.values() if image.has_pose}
    # Photos may have got longer names, by which they still end.
    found = {path.stem: images[name] for name, path in given.photos.items()}
    assert len(found) == VIEWS - len(missing)
    for view, name in enumerate(truth.names):
        if view not in missing:
            image = next(i for stem, i in found.items() if stem.endswith(Path(name).stem))
            pose = image.cam_from_world().inverse().matrix()
            np.testing.assert_allclose(pose, truth.world_from_camera[view], atol=1e-9)


def moved(target: str) -> Edit:
    """Give the folder of the photos another place."""

    def edit(folder: Path) -> None:
        (folder / "images").rename(folder / "to")
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        (folder / "to").rename(folder / target)

    return edit


def edited(change: Callable[[dict[str, Any]], object]) -> Edit:
    """Change the content of `transforms.json`."""

    def edit(folder: Path) -> None:
        content = read_transforms(folder)
        change(content)
        write_transforms(folder, content)

    return edit


def file_with(**values: object) -> Edit:
    """Set keys at the top of `transforms.json`."""
    return edited(lambda content: content.update(values))


def frame_with(view: int, **values: object) -> Edit:
    """Set keys of a frame of `transforms.json`."""
    return edited(lambda content: content["frames"][view].update(values))
