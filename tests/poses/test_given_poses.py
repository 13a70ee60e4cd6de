"""Sparse points that come with poses but that no photo sees."""

from pathlib import Path

import pycolmap
import pytest

from ovs3d.errors import PosesError
from tests.intake import formats
from tests.intake.formats import Truth
from tests.intake.importing import find_poses, import_scene


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
