"""The truth as windows and as poses."""

import json
from pathlib import Path

import pytest
import torch

from ovs3d.photos.dataset import open_photos
from ovs3d.poses.given_poses import FOLDER, read_given
from studies.oracle import label_shares, true_poses
from studies.scenes import Scene
from tests.synthetic import SyntheticScene


def test_shares_of_labels_in_windows() -> None:
    labels = torch.tensor([[1, 1, 2], [1, 0, 2], [9, 9, 9]], dtype=torch.uint8)
    boxes = torch.tensor([[0, 0, 3, 2], [0, 0, 1, 1], [2, 0, 3, 2], [0, 2, 3, 3]])
    expected = torch.tensor([[0.6, 0.4], [1, 0], [0, 1], [0.5, 0.5]])
    torch.testing.assert_close(label_shares(labels, boxes, 2), expected)


def test_true_poses_come_with_the_photos(
    scene: SyntheticScene, scene_folder: Path, tmp_path: Path
) -> None:
    cameras = scene.cameras
    entries = [
        {"world_from_camera": pose, **dict(zip(("fx", "fy", "cx", "cy"), lens, strict=True))}
        for pose, lens in zip(
            cameras.world_from_camera.tolist(), cameras.intrinsics.tolist(), strict=True
        )
    ]
    (scene_folder / "truth").mkdir()
    (scene_folder / "truth" / "cameras.json").write_text(json.dumps(entries))
    before = Scene("raw", scene_folder, (), (1, 4))
    after = true_poses(before, tmp_path / "work")
    assert after == true_poses(before, tmp_path / "work")
    assert (after.name, after.held_out) == ("raw", (1, 4))
    photos = open_photos(after.images)
    assert photos.names == open_photos(scene_folder / "images").names
    model = read_given(after.images / FOLDER, photos)
    for image in model.images.values():
        row = photos.names.index(image.name)
        found = torch.from_numpy(image.cam_from_world().inverse().matrix())
        torch.testing.assert_close(found, cameras.world_from_camera[row])
        assert image.camera.params == pytest.approx(cameras.intrinsics[row].numpy())
    assert after.classes.read_text() == before.classes.read_text()
