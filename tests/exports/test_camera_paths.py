"""Cameras that took no photo."""

import json
from pathlib import Path

import numpy as np
import pytest

from ovs3d.errors import PosesError
from ovs3d.exports.camera_paths import orbit, read_path
from ovs3d.exports.coordinates import Frame, inverse
from ovs3d.poses.colmap_model import Lens, build_model
from ovs3d.space.normalise import focus
from tests.exports.conftest import UNIT_FROM_COLMAP, Exported
from tests.synthetic import SyntheticScene

COLMAP = Frame("colmap", inverse(UNIT_FROM_COLMAP))


def test_orbit_looks_at_what_the_photos_look_at_from_all_around(scene: SyntheticScene) -> None:
    cameras = orbit(scene.cameras, 8)
    poses = cameras.world_from_camera.numpy()
    middle = focus(scene.cameras.world_from_camera.numpy())
    arms = middle - poses[:, :, 3]
    distances = np.linalg.norm(arms, axis=1)
    assert np.allclose(arms / distances[:, None], poses[:, :, 2])
    assert np.allclose(distances, distances[0])
    # Half way round it stands on the other side.
    assert np.allclose(arms[0] + arms[4], 2 * np.array([0, arms[0, 1], 0]))
    rotations = poses[:, :, :3]
    assert np.allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(3))
    assert np.allclose(np.linalg.det(rotations), 1)
    assert (poses[:, 1, 1] > 0).all()


def test_exported_transforms_are_the_cameras_of_the_photos(exported: Exported) -> None:
    cameras = exported.world.cameras
    found = read_path(exported.folder / "transforms.json", COLMAP, cameras)
    assert np.allclose(found.world_from_camera, cameras.world_from_camera, atol=1e-6)
    assert np.allclose(found.intrinsics, cameras.intrinsics)
    assert np.allclose(found.distortion, cameras.distortion)
    assert (found.width, found.height) == (cameras.width, cameras.height)


def test_frames_without_intrinsics_get_the_mean_of_the_scene_at_their_size(
    scene: SyntheticScene, tmp_path: Path
) -> None:
    file = tmp_path / "path.json"
    frames = [{"transform_matrix": np.eye(4).tolist()}]
    file.write_text(json.dumps({"w": scene.cameras.width // 2, "frames": frames}))
    found = read_path(file, COLMAP, scene.cameras)
    expected = scene.cameras.intrinsics[0].numpy() * [0.5, 1, 0.5, 1]
    assert np.allclose(found.intrinsics[0], expected)
    # OpenGL's -z is forward.
    turned = UNIT_FROM_COLMAP.rotation @ np.diag([1, -1, -1])
    assert np.allclose(found.world_from_camera[0, :, :3], turned)


def test_colmap_model_in_its_frame(scene: SyntheticScene, tmp_path: Path) -> None:
    cameras = scene.cameras
    lens = Lens("PINHOLE", tuple(cameras.intrinsics[0].tolist()), cameras.width, cameras.height)
    poses = COLMAP.from_unit.poses(cameras.world_from_camera.numpy())
    model = build_model(cameras.names, [lens] * len(cameras), list(poses))
    model.write_binary(tmp_path)
    found = read_path(tmp_path, COLMAP, cameras)
    assert found.names == cameras.names
    assert np.allclose(found.world_from_camera, cameras.world_from_camera, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no JSON", "not in the form of transforms.json"),
        ('{"frames": []}', "no frames"),
        ('{"frames": [{}]}', "not in the form of transforms.json"),
        ('{"frames": [{"transform_matrix": [[1]]}]}', "frame number 0: the pose has shape"),
        ('{"frames": [{"transform_matrix": [[1]], "fl_x": "wide"}]}', "not in the form of"),
    ],
)
def test_files_of_another_form_are_told(
    scene: SyntheticScene, tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "path.json"
    file.write_text(content)
    with pytest.raises(PosesError, match=message):
        read_path(file, COLMAP, scene.cameras)
    with pytest.raises(PosesError, match="no such file or folder"):
        read_path(tmp_path / "nowhere", COLMAP, scene.cameras)
