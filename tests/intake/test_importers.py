"""Poses of other tools: known points land where they should, whatever the format."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ovs3d.apps.cli import main
from ovs3d.errors import PosesError
from ovs3d.params import load_scene_params
from tests.intake import formats
from tests.intake.formats import PLAIN, WRITERS, Truth
from tests.intake.importing import VIEWS, check_poses, find_poses, import_scene, moved


@pytest.mark.parametrize("name", WRITERS)
def test_known_points_reproject_to_where_the_photos_show_them(
    project: Path, plain: Truth, bent: Truth, tmp_path: Path, name: str
) -> None:
    truth = plain if name in PLAIN else bent
    WRITERS[name](truth, tmp_path / "source")
    words = ("--labels", "red box,green box,blue box,floor,wall") if name == "3d-ovs" else ()
    assert import_scene(tmp_path / "source", *words) == 0
    report, cameras, unit = find_poses(project)
    assert report.missing == ()
    assert report.error < 1.0
    assert cameras.names == truth.names
    # Of every photo by itself; three kinds of them in `bent`.
    np.testing.assert_allclose(cameras.intrinsics.numpy(), truth.intrinsics, rtol=1e-12)
    np.testing.assert_allclose(cameras.distortion.numpy(), truth.distortion, rtol=1e-12)
    world = torch.from_numpy(unit(truth.points))
    for view in range(VIEWS):
        xy, _ = truth.project(view)
        found, depth = cameras.project(view, world)
        assert (depth > 0).all()
        # A hundredth of what is asked for: rounding only.
        assert np.abs(found.numpy() - xy).max() < 1e-3
        origins, directions = cameras.rays(view, torch.from_numpy(xy))
        inside = (xy > 0).all(axis=1) & (xy < truth.size).all(axis=1)
        reached = (origins + depth[:, None] * directions).numpy()[inside]
        assert np.abs(reached - world.numpy()[inside]).max() < 1e-3
    assert 0.5 < cameras.near <= depth.min().item() * 1.5
    assert cameras.far >= depth.median()


def test_two_runs_give_the_same_bytes(project: Path, plain: Truth, tmp_path: Path) -> None:
    formats.write_llff(plain, tmp_path / "source")
    assert import_scene(tmp_path / "source") == 0
    runs = []
    for _ in range(2):
        find_poses(project)
        files = sorted(path for path in (project / "poses").rglob("*") if path.is_file())
        runs.append({path.name: path.read_bytes() for path in files})
    assert runs[0] == runs[1]


def test_masks_of_the_3d_ovs_dataset_are_held_out(
    project: Path, plain: Truth, tmp_path: Path
) -> None:
    formats.write_3d_ovs(plain, tmp_path / "source")
    assert main(["new-scene", "scene", str(tmp_path / "source"), "--preset", "tiny"]) == 0
    assert load_scene_params(project / "params.yaml", "scene").test_views == (2, 6)
    assert (project / "data/raw/scene/segmentations/02/floor.png").is_file()


def test_cameras_follow_photos_that_were_resized_after_posing(
    project: Path, bent: Truth, tmp_path: Path
) -> None:
    formats.write_colmap_text(bent, tmp_path / "source")
    for path in (tmp_path / "source/images").iterdir():
        with Image.open(path) as photo:
            larger = photo.resize((320, 240))
        larger.save(path)
    assert import_scene(tmp_path / "source") == 0
    report, cameras, unit = find_poses(project)
    xy, _ = bent.project(4)
    found, _ = cameras.project(4, torch.from_numpy(unit(bent.points)))
    assert (cameras.width, cameras.height) == (320, 240)
    assert np.abs(found.numpy() / 2 - xy).max() < 1e-3
    # The model's own measurements grow along.
    assert report.error < 1e-3


def test_photos_without_a_pose_stay_out_and_are_named(
    project: Path, plain: Truth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    formats.write_colmap_binary(plain, tmp_path / "source")
    Image.new("RGB", plain.size).save(tmp_path / "source/images/extra.png")
    assert import_scene(tmp_path / "source") == 0
    assert "extra.png" in capsys.readouterr().out
    assert not (project / "data/raw/scene/images/extra.png").exists()


@pytest.mark.parametrize(
    ("name", "format_", "found"),
    [
        ("3d-ovs", None, "3d-ovs"),
        ("llff", None, "llff"),
        ("nerfstudio", None, "nerfstudio"),
        ("colmap text", None, "colmap"),
        ("nerfstudio", "lerf", "lerf"),
        ("3d-ovs", "llff", "llff"),
        ("llff", "photos", "photos"),
    ],
)
def test_format_is_seen_or_told(
    project: Path,
    plain: Truth,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    format_: str | None,
    found: str,
) -> None:
    WRITERS[name](plain, tmp_path / "s")
    labels = ("--labels", "red box,green box,blue box,floor,wall")
    words = (*labels, "--format", format_) if format_ else labels
    assert import_scene(tmp_path / "s", *words) == 0
    assert f"({found})" in capsys.readouterr().out
    assert (project / "data/raw/scene/images/poses").is_dir() == (found != "photos")


@pytest.mark.parametrize("folder", ["images_2", "images_8", "input"])
def test_rows_of_llff_belong_to_the_photos_that_are_there(
    plain: Truth, tmp_path: Path, folder: str
) -> None:
    formats.write_llff(plain, tmp_path / "source")
    moved(folder)(tmp_path / "source")
    check_poses(tmp_path / "source", plain)


def test_stage_names_photos_and_poses_that_have_no_partner(
    project: Path, plain: Truth, tmp_path: Path
) -> None:
    formats.write_llff(plain, tmp_path / "source")
    assert import_scene(tmp_path / "source") == 0
    images = project / "data/raw/scene/images"
    (images / "003.png").rename(images / "new.png")
    with pytest.raises(PosesError) as raised:
        find_poses(project)
    assert "poses without a photo: 003.png; photos without a pose: new.png" in str(raised.value)
