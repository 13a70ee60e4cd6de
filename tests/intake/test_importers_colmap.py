"""COLMAP models as tools leave them: in other places, without points, with other line ends."""

import shutil
from pathlib import Path

import pytest

from ovs3d.intake.importers import open_source
from ovs3d.intake.importers_colmap import read_colmap
from tests.intake import formats
from tests.intake.formats import Truth
from tests.intake.importing import Edit, check_poses, find_poses, import_scene, moved


def flattened(folder: Path) -> None:
    """Take the second lines away that every image has."""
    path = folder / "sparse/0/images.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *lines[1::2]]) + "\n")
    (folder / "sparse/0/points3D.txt").write_text("")


def with_windows_lines(folder: Path) -> None:
    for path in (folder / "sparse/0").iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n# more\r\n", 1))


def both_moved(photos: str, model: str) -> Edit:
    def edit(folder: Path) -> None:
        moved(photos)(folder)
        (folder / "sparse/0").rename(folder / "model-here")
        (folder / "sparse").rmdir()
        (folder / model).parent.mkdir(parents=True, exist_ok=True)
        (folder / "model-here").rename(folder / model)

    return edit


def without_points(folder: Path) -> None:
    flattened(folder)
    (folder / "sparse/0/points3D.txt").unlink()


PLACES: dict[str, Edit] = {
    "no points3D": without_points,
    "single lines": flattened,
    "Windows": with_windows_lines,
    "sparse without 0": both_moved("images", "sparse"),
    "dense/0": both_moved("dense/0/images", "dense/0/sparse"),
    "dense": both_moved("dense/images", "dense/sparse"),
    "3dgs before undistortion": both_moved("input", "distorted/sparse/0"),
    "sparse_txt": both_moved("images", "sparse_txt/0"),
    "images_4 alone": both_moved("images_4", "sparse/0"),
    "project below": both_moved("images", "colmap/project/sparse/0"),
}


@pytest.mark.parametrize("place", PLACES)
def test_models_are_found_and_read_where_tools_leave_them(
    plain: Truth, tmp_path: Path, place: str
) -> None:
    formats.write_colmap_text(plain, tmp_path / "source")
    PLACES[place](tmp_path / "source")
    assert open_source(tmp_path / "source", None).format == "colmap"
    check_poses(tmp_path / "source", plain)


def test_a_binary_model_needs_no_points(plain: Truth, tmp_path: Path) -> None:
    formats.write_colmap_binary(plain, tmp_path / "source")
    for path in (tmp_path / "source").rglob("points3D.bin"):
        path.unlink()
    check_poses(tmp_path / "source", plain)


def test_photos_before_undistortion_belong_to_the_distorted_model(
    plain: Truth, tmp_path: Path
) -> None:
    formats.write_colmap_text(plain, tmp_path / "source")
    both_moved("input", "distorted/sparse/0")(tmp_path / "source")
    shutil.copytree(plain.images, tmp_path / "source/images")
    photos = read_colmap(tmp_path / "source").photos.values()
    assert {path.parent.name for path in photos} == {"input"}


def test_points_of_a_model_are_kept(project: Path, bent: Truth, tmp_path: Path) -> None:
    formats.write_colmap_text(bent, tmp_path / "source")
    assert import_scene(tmp_path / "source") == 0
    report, _, _ = find_poses(project)
    lines = (tmp_path / "source/sparse/0/points3D.txt").read_text().splitlines()
    assert report.points == len(lines)
