"""Conventions of `ovs3d.space.cameras`: rays, projection, distortion, files."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
import torch
from torch import Tensor

from ovs3d.errors import PosesError
from ovs3d.space.cameras import Cameras, load_cameras, pixel_centres, save_cameras
from ovs3d.space.distortion import CAMERA_MODELS, from_colmap_camera, undistort
from tests.damage import flip_bit
from tests.synthetic import SyntheticScene

DISTORTION = (-0.2, 0.05, 0.002, -0.003)


def make_cameras(distortion: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)) -> Cameras:
    """One camera at (1, 2, 3), turned by 90 degrees so that it looks along world +x."""
    # Columns: the camera's right, down and forward axes in the world, and its centre.
    pose = [[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 2.0], [-1.0, 0.0, 0.0, 3.0]]
    return Cameras(
        views=(7,),
        names=("g.jpg",),
        width=640,
        height=480,
        intrinsics=torch.tensor([[500.0, 510.0, 321.0, 239.0]], dtype=torch.float64),
        distortion=torch.tensor([distortion], dtype=torch.float64),
        world_from_camera=torch.tensor([pose], dtype=torch.float64),
        near=1.0,
        far=9.5,
        points_min=torch.tensor([-1.0, -2.0, 1.0], dtype=torch.float64),
        points_max=torch.tensor([1.0, 2.0, 9.0], dtype=torch.float64),
    )


def test_ray_through_the_principal_point_goes_straight_ahead() -> None:
    origins, directions = make_cameras().rays(7, torch.tensor([[321.0, 239.0]]))
    assert origins.tolist() == [[1.0, 2.0, 3.0]]
    assert directions.tolist() == [[1.0, 0.0, 0.0]]
    assert origins.dtype == directions.dtype == torch.float32


def test_ray_one_focal_length_right_and_down() -> None:
    xy = torch.tensor([[321.0 + 500.0, 239.0 + 510.0]])
    _, directions = make_cameras().rays(7, xy)
    # Camera (1, 1, 1): right is world -z, down is world +y, forward is world +x.
    assert directions.tolist() == [[1.0, 1.0, -1.0]]


def test_pixel_centres_of_a_working_image() -> None:
    centres = pixel_centres(width=7, height=5, downscale=3)
    assert centres.tolist() == [[1.5, 1.5], [4.5, 1.5]]
    assert pixel_centres(2, 2, 1).tolist() == [[0.5, 0.5], [1.5, 0.5], [0.5, 1.5], [1.5, 1.5]]


@pytest.mark.parametrize("distortion", [(0.0,) * 4, DISTORTION], ids=["pinhole", "opencv"])
def test_point_at_a_depth_projects_back_to_its_pixel(distortion: tuple[float, ...]) -> None:
    cameras = make_cameras(distortion)
    xy = pixel_centres(640, 480, 16)
    depth = torch.linspace(1, 5, len(xy))
    origins, directions = cameras.rays(7, xy)
    found, found_depth = cameras.project(7, origins + depth[:, None] * directions)
    assert (found - xy).abs().max() < 2e-3  # float32
    assert torch.allclose(found_depth, depth, atol=1e-5)


def test_points_behind_the_camera_have_negative_depth() -> None:
    _, depth = make_cameras().project(7, torch.tensor([[-1.0, 2.0, 3.0]]))
    assert depth.tolist() == [-2.0]


def colmap_camera(model: str) -> pycolmap.Camera:
    """Return COLMAP's camera of a model with distortion wherever it has any."""
    camera = pycolmap.Camera.create_from_model_name(1, model, 500.0, 640, 480)
    params = np.array(camera.params)
    params[camera.extra_params_idxs()] = DISTORTION[: len(camera.extra_params_idxs())]
    camera.params = params
    return camera


@pytest.mark.parametrize("model", CAMERA_MODELS)
def test_rays_match_those_of_colmap(model: str) -> None:
    camera = colmap_camera(model)
    intrinsics, distortion = from_colmap_camera(model, camera.params)
    cameras = replace(
        make_cameras(),
        intrinsics=torch.tensor([intrinsics], dtype=torch.float64),
        distortion=torch.tensor([distortion], dtype=torch.float64),
        world_from_camera=torch.eye(4, dtype=torch.float64)[None, :3],
    )
    xy = pixel_centres(640, 480, 32)
    _, directions = cameras.rays(7, xy)
    expected = camera.cam_from_img(xy.double().numpy())
    assert np.abs(directions[:, :2].numpy() - expected).max() < 1e-7
    assert (directions[:, 2] == 1).all()


def test_undistortion_is_exact_to_a_millionth_of_a_pixel() -> None:
    cameras = make_cameras(DISTORTION)
    xy = pixel_centres(640, 480, 16)
    camera = colmap_camera("OPENCV")
    camera.params = [*cameras.intrinsics[0].tolist(), *DISTORTION]
    focal, centre = cameras.intrinsics[0, :2], cameras.intrinsics[0, 2:]
    # In float64, before `Cameras.rays` rounds them.
    rays = undistort((xy.double() - centre) / focal, cameras.distortion[0])
    back = camera.img_from_cam(torch.nn.functional.pad(rays, (0, 1), value=1.0).numpy())
    assert np.abs(back - xy.numpy()).max() < 1e-6


def test_depths_and_rays_of_the_synthetic_scene_agree(scene: SyntheticScene) -> None:
    """A point seen from one view lands on the same surface in its neighbour."""
    cameras = scene.cameras
    origins, directions = cameras.rays(2, pixel_centres(cameras.width, cameras.height, 1))
    points = origins + scene.depths[2].reshape(-1, 1) * directions
    xy, depth = cameras.project(3, points)
    column, row = xy.floor().long().unbind(dim=1)
    inside = (column >= 0) & (column < cameras.width) & (row >= 0) & (row < cameras.height)
    seen = scene.depths[3][row[inside], column[inside]]
    # Half a pixel of rounding and hidden points keep this from being all of them.
    assert ((seen - depth[inside]).abs() < 0.05).float().mean() > 0.9


def test_row_of_a_view_without_a_pose_is_an_error() -> None:
    assert make_cameras().row_of(7) == 0
    with pytest.raises(PosesError, match="view 3 has no camera pose; COLMAP placed views 7"):
        make_cameras().row_of(3)


def test_unsupported_colmap_model_is_an_error() -> None:
    with pytest.raises(PosesError, match="camera model THIN_PRISM_FISHEYE is not supported"):
        from_colmap_camera("THIN_PRISM_FISHEYE", [0.0] * 12)


def test_saved_cameras_come_back_bit_for_bit(scene: SyntheticScene, tmp_path: Path) -> None:
    cameras = replace(scene.cameras, far=float(torch.rand((), dtype=torch.float64)))
    save_cameras(cameras, tmp_path / "cameras.json")
    loaded = load_cameras(tmp_path / "cameras.json")
    for field in fields(Cameras):
        saved, read = getattr(cameras, field.name), getattr(loaded, field.name)
        assert torch.equal(saved, read) if isinstance(saved, Tensor) else saved == read, field.name


def test_load_cameras_missing_file_names_the_stage(tmp_path: Path) -> None:
    with pytest.raises(PosesError, match=r"cameras\.json does not exist; run stage poses first"):
        load_cameras(tmp_path / "cameras.json")


@pytest.mark.parametrize(
    "content",
    ["", '{"format": "ovs3d-cam', "[]", '{"cameras": []}', '{"format": "ovs3d-cameras-0"}'],
    ids=["empty", "cut off", "list", "foreign", "other version"],
)
def test_load_cameras_foreign_file_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "cameras.json").write_text(content)
    with pytest.raises(PosesError, match=r"cameras\.json is no camera file of this version"):
        load_cameras(tmp_path / "cameras.json")


def test_load_cameras_never_reads_a_changed_bit_as_another_pose(
    scene: SyntheticScene, tmp_path: Path
) -> None:
    path = tmp_path / "cameras.json"
    save_cameras(scene.cameras, path)
    good = path.read_bytes()
    refused = 0
    for seed in range(300):
        path.write_bytes(good)
        flip_bit(path, seed)
        try:
            loaded = load_cameras(path)
        except PosesError:
            refused += 1
        else:
            # A blank that became another blank.
            assert torch.equal(loaded.world_from_camera, scene.cameras.world_from_camera)
            assert torch.equal(loaded.intrinsics, scene.cameras.intrinsics)
    assert refused > 200
