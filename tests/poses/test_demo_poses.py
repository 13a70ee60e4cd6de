"""Poses of the demo scene, with the parameters that ship, against the cameras it was drawn with."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ovs3d.params import load_scene_params
from ovs3d.photos.dataset import open_photos
from ovs3d.poses.sfm import reconstruct_poses
from ovs3d.space.cameras import load_cameras
from tests.pose_errors import pose_errors

CPU = torch.device("cpu")

REPO = Path(__file__).parents[2]
DEMO = REPO / "data" / "raw" / "demo"


@pytest.mark.slow
def test_demo_poses_are_accurate(tmp_path: Path) -> None:
    params = load_scene_params(REPO / "params.yaml", "demo")
    photos = open_photos(DEMO / "images")
    report = reconstruct_poses(photos, params.stages.poses, params.seed, tmp_path / "poses", CPU)
    assert report.missing == ()
    cameras = load_cameras(tmp_path / "poses" / "cameras.json")
    records = json.loads((DEMO / "truth" / "cameras.json").read_text())
    truth = np.array([record["world_from_camera"] for record in records])
    rotations, positions = pose_errors(cameras.world_from_camera.numpy(), truth)
    assert np.median(rotations) < 0.3  # degrees; 0.09 when this was written
    assert np.median(positions) < 0.01  # share of the path; 0.0002 when this was written
    assert report.focal[0] == pytest.approx(records[0]["fx"], rel=0.01)
