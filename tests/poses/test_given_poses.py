"""Stage poses with poses that a scene brings: their points, and whether they are of its photos."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pycolmap
import pytest

from ovs3d.errors import PosesError
from tests.intake import formats
from tests.intake.formats import Truth
from tests.intake.importing import VIEWS, find_poses, import_scene
from tests.pose_errors import pose_errors


def forget_tracks(project: Path, kept: int) -> None:
    """Let no photo of the scene's model see any but its first points."""
    folder = project / "data/raw/scene/images/poses"
    model = pycolmap.Reconstruction(folder)
    for point_id in sorted(model.point3D_ids())[kept:]:
        point = model.point3D(point_id)
        model.delete_point3D(point_id)
        model.add_point3D(point.xyz, pycolmap.Track(), point.color)
    model.write_binary(folder)


def test_points_that_no_photo_sees_are_replaced_by_others(
    project: Path, bent: Truth, tmp_path: Path
) -> None:
    formats.write_colmap_text(bent, tmp_path / "source")
    assert import_scene(tmp_path / "source") == 0
    forget_tracks(project, 0)
    report, _, _ = find_poses(project)
    # Those that were there have no reprojection error.
    assert report.error > 0.01


def test_points_that_no_photo_sees_do_not_count(project: Path, bent: Truth, tmp_path: Path) -> None:
    formats.write_colmap_text(bent, tmp_path / "source")
    assert import_scene(tmp_path / "source") == 0
    forget_tracks(project, 20)
    with pytest.raises(PosesError, match="only 20 points of the photos agree"):
        find_poses(project)


def write_spoilt(truth: Truth, folder: Path, photos: Collection[int]) -> None:
    """Write instant-ngp's file with OpenCV's axes in some frames."""
    formats.write_instant_ngp(truth, folder)
    content = formats.read_transforms(folder)
    for photo in photos:
        frame = content["frames"][photo]
        pose = np.array(frame["transform_matrix"]) @ np.diag([1.0, -1.0, -1.0, 1.0])
        frame["transform_matrix"] = pose.tolist()
    formats.write_transforms(folder, content)


def test_stage_reads_poses_as_the_photos_want_them_and_says_so(
    project: Path, plain: Truth, tmp_path: Path
) -> None:
    write_spoilt(plain, tmp_path / "source", range(VIEWS))
    assert import_scene(tmp_path / "source") == 0
    report, cameras, _ = find_poses(project)
    assert "read as camera-to-world, OpenCV axes" in report.agreement
    assert "read as camera-to-world, OpenCV axes, they agree with 9" in report.warnings[0]
    rotations, positions = pose_errors(cameras.world_from_camera.numpy(), plain.world_from_camera)
    assert rotations.max() < 1e-4
    assert positions.max() < 1e-6


def test_stage_names_the_photos_whose_poses_are_wrong(
    project: Path, plain: Truth, tmp_path: Path
) -> None:
    write_spoilt(plain, tmp_path / "source", [4])
    assert import_scene(tmp_path / "source") == 0
    with pytest.raises(PosesError, match=r"1 of 9 photos do not fit .*others: 004\.png; .*trust"):
        find_poses(project)


def test_trusted_poses_are_not_compared(project: Path, plain: Truth, tmp_path: Path) -> None:
    write_spoilt(plain, tmp_path / "source", [4])
    assert import_scene(tmp_path / "source", "--trust-poses") == 0
    report, _, _ = find_poses(project)
    assert (report.agreement, report.warnings) == ("not asked", ())


def test_points_do_not_hide_that_photos_were_swapped(
    project: Path, bent: Truth, tmp_path: Path
) -> None:
    """A model with points agrees with itself, whatever the photos show."""
    formats.write_colmap_text(bent, tmp_path / "source")
    images = tmp_path / "source/images"
    (images / "002.png").rename(images / "x")
    (images / "006.png").rename(images / "002.png")
    (images / "x").rename(images / "006.png")
    assert import_scene(tmp_path / "source") == 0
    with pytest.raises(PosesError, match=r"2 of 9 photos do not fit .*: 002\.png, 006\.png"):
        find_poses(project)
