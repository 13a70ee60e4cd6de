"""What is fitted to the sparse points knows those of the training views alone."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ovs3d.errors import PosesError
from ovs3d.files import write_json
from ovs3d.space.bounds import bounded_by
from ovs3d.space.cameras import Cameras
from ovs3d.space.fit_space import choose_space
from ovs3d.space.normalise import NEAR_MARGIN, Array, Similarity, unit_scene
from tests.synthetic import SyntheticScene

TRAIN, TEST = (0, 1, 3), (2, 5)


def spots(depth: float, seed: int) -> Array:
    """Return points about a depth, COLMAP's frame."""
    generator = np.random.default_rng(seed)
    return generator.uniform([-1, -1, depth - 0.5], [1, 1, depth + 0.5], (60, 3))


NEAR, FAR, ALONE = spots(3.0, 0), spots(9.0, 1), spots(5.0, 2)
POINTS = np.concatenate([NEAR, FAR, ALONE])


def shown(view: int) -> list[int]:
    """Training views show the near points, test views the far ones too, no view the last ones."""
    if view in TRAIN:
        return list(range(60))
    return list(range(120)) if view in TEST else []


def write_model(cameras: Cameras, folder: Path) -> None:
    """Write COLMAP's text format, whose frame is that of the cameras; places in photos are none."""
    folder.mkdir(parents=True)
    (folder / "cameras.txt").write_text("1 SIMPLE_PINHOLE 96 72 90 48 36\n")
    images, tracks = "", [""] * len(POINTS)
    for view in cameras.views:
        # Ids in another order than names.
        image_id = 50 - view
        images += f"{image_id} 1 0 0 0 0 0 0 1 {cameras.names[view]}\n"
        images += " ".join(f"1 1 {point + 1}" for point in shown(view)) + "\n"
        for index, point in enumerate(shown(view)):
            tracks[point] += f" {image_id} {index}"
    (folder / "images.txt").write_text(images)
    lines = (
        f"{index + 1} {' '.join(map(repr, map(float, point)))} 0 0 0 0.1{track}\n"
        for index, (point, track) in enumerate(zip(POINTS, tracks, strict=True))
    )
    (folder / "points3D.txt").write_text("".join(lines))


@pytest.fixture
def poses(scene: SyntheticScene, tmp_path: Path) -> tuple[Cameras, Path]:
    """Cameras and folder as stage poses leaves them."""
    write_model(scene.cameras, tmp_path / "sfm")
    before = scene.cameras.world_from_camera.numpy()
    seen = [np.array(shown(view), np.int64) for view in scene.cameras.views]
    similarity, bounds = unit_scene(before, POINTS, seen)
    write_json(tmp_path / "sfm" / "transform.json", similarity.to_json())
    moved = torch.from_numpy(similarity.poses(before))
    return replace(scene.cameras, world_from_camera=moved).within(bounds), tmp_path


def test_bounds_are_those_of_what_the_views_show(poses: tuple[Cameras, Path]) -> None:
    cameras, folder = poses
    found = bounded_by(cameras, folder, TRAIN)
    assert found.views == cameras.views
    # Points that no view shows lie between the others.
    to_unit = Similarity.from_json(json.loads((folder / "sfm/transform.json").read_text()))
    for points, bounded in ((np.concatenate([NEAR, ALONE]), found), (POINTS, cameras)):
        lower, upper = np.percentile(to_unit.points(points), [0.5, 99.5], axis=0)
        np.testing.assert_allclose(bounded.points_min.numpy(), lower)
        np.testing.assert_allclose(bounded.points_max.numpy(), upper)
    depths = [
        (to_unit.points(NEAR) - pose[:, 3]) @ pose[:, 2]
        for pose in cameras.world_from_camera[list(TRAIN)].numpy()
    ]
    near, far = np.percentile(depths, [0.5, 99.5])
    assert (found.near, found.far) == pytest.approx((NEAR_MARGIN * near, far / NEAR_MARGIN))
    assert found.far < 0.6 * cameras.far


def test_all_views_give_the_bounds_of_stage_poses(poses: tuple[Cameras, Path]) -> None:
    cameras, folder = poses
    found = bounded_by(cameras, folder, cameras.views)
    assert (found.near, found.far) == pytest.approx((cameras.near, cameras.far))
    torch.testing.assert_close(found.points_min, cameras.points_min)
    torch.testing.assert_close(found.points_max, cameras.points_max)


@pytest.mark.parametrize("kind", ["ndc", "bounded", "contracted"])
def test_no_space_knows_what_test_photos_alone_show(poses: tuple[Cameras, Path], kind: str) -> None:
    cameras, folder = poses
    spaces = []
    for far in (1.0, 2.0):
        # The far points elsewhere, and other test cameras.
        moved = cameras.world_from_camera.clone()
        moved[list(TEST), :, 3] *= far
        text = (folder / "sfm" / "points3D.txt").read_text().splitlines()
        for line in range(60, 120):
            number, x, y, z, *rest = text[line].split()
            text[line] = " ".join([number, x, y, repr(float(z) * far), *rest])
        (folder / "sfm" / "points3D.txt").write_text("\n".join(text) + "\n")
        bounded = bounded_by(replace(cameras, world_from_camera=moved), folder, TRAIN)
        spaces.append(choose_space(bounded.only(TRAIN), kind))  # type: ignore[arg-type]
    assert spaces[0] == spaces[1]
    assert spaces[0] != choose_space(cameras, kind)  # type: ignore[arg-type]


def test_views_without_a_pose_leave_the_bounds(poses: tuple[Cameras, Path]) -> None:
    cameras, folder = poses
    assert bounded_by(cameras, folder, (77,)) is cameras
    assert bounded_by(cameras, folder, (77, *TRAIN)).far == bounded_by(cameras, folder, TRAIN).far


def test_views_that_show_nothing_are_an_error(poses: tuple[Cameras, Path]) -> None:
    with pytest.raises(
        PosesError, match=r"sfm: no training view shows any .* list fewer val_views"
    ):
        bounded_by(*poses, (4,))


@pytest.mark.parametrize("damaged", ["points3D.txt", "transform.json"])
def test_damaged_folder_is_one_clear_error(poses: tuple[Cameras, Path], damaged: str) -> None:
    cameras, folder = poses
    (folder / "sfm" / damaged).write_text("{}")
    with pytest.raises(PosesError, match=r"sfm: cannot be read .*dvc checkout") as raised:
        bounded_by(cameras, folder, TRAIN)
    assert "\n" not in str(raised.value)
