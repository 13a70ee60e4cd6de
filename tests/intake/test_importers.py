"""Poses of other tools: known points land where they should, mistakes are one clear line."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ovs3d.apps.cli import main
from ovs3d.errors import PosesError
from ovs3d.params import load_scene_params
from tests.intake import formats
from tests.intake.formats import PLAIN, WRITERS, Truth
from tests.intake.importing import VIEWS, find_poses, import_scene


def truth_for(name: str, plain: Truth, bent: Truth) -> Truth:
    return plain if name in PLAIN else bent


@pytest.mark.parametrize("name", WRITERS)
def test_known_points_reproject_to_where_the_photos_show_them(
    project: Path, plain: Truth, bent: Truth, tmp_path: Path, name: str
) -> None:
    truth = truth_for(name, plain, bent)
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


def test_points_of_a_model_are_kept(project: Path, bent: Truth, tmp_path: Path) -> None:
    formats.write_colmap_text(bent, tmp_path / "source")
    assert import_scene(tmp_path / "source") == 0
    report, _, _ = find_poses(project)
    lines = (tmp_path / "source/sparse/0/points3D.txt").read_text().splitlines()
    assert report.points == len(lines)


@pytest.mark.usefixtures("project")
def test_transforms_may_begin_with_a_byte_order_mark(plain: Truth, tmp_path: Path) -> None:
    formats.write_nerfstudio(plain, tmp_path / "source")
    path = tmp_path / "source/transforms.json"
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert import_scene(tmp_path / "source") == 0


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


def edit_transforms(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "transforms.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return edit


def edit_llff(change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "poses_bounds.npy"
        np.save(path, change(np.load(path)))

    return edit


def lens(words: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "sparse/0/cameras.txt"
        ids = [line.split()[0] for line in path.read_text().splitlines()[1:]]
        path.write_text("".join(f"{camera_id} {words}\n" for camera_id in ids))

    return edit


def matrix(value: object) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["frames"][3].update(transform_matrix=value)


def drop(*keys: str) -> Callable[[dict[str, Any]], object]:
    return lambda content: [frame.pop(key) for frame in content["frames"] for key in keys]


def cut(file: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(content[: len(content) // 2])

    return edit


def remove(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def remove_photos(folder: Path) -> None:
    for path in (folder / "images").iterdir():
        path.unlink()


def shrink_one_photo(folder: Path) -> None:
    Image.new("RGB", (100, 100)).save(folder / "images/004.png")


def spoil_quaternion(folder: Path) -> None:
    path = folder / "sparse/0/images.txt"
    lines = path.read_text().splitlines()
    words = lines[1].split()
    lines[1] = " ".join([words[0], "0", "0", "0", "0", *words[5:]])
    path.write_text("\n".join(lines) + "\n")


SINGULAR = [[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1]]
MIRROR = [[-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
SHEAR = [[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
NAN = [[float("nan"), 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
MISTAKES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "row too few": ("llff", edit_llff(lambda rows: rows[:-1]), "8 poses, but .* has 9 photos"),
    "other array": ("llff", edit_llff(lambda rows: rows[:, :14]), r"shape \(9, 14\); expected 17"),
    "no array": ("llff", cut("poses_bounds.npy"), "cannot be read as a NumPy array"),
    "singular row": ("llff", edit_llff(lambda rows: rows * 0 + 1), "000.png: the pose cannot be"),
    "no focal": (
        "llff",
        edit_llff(lambda rows: np.where(np.arange(17) == 14, 0, rows)),
        "000.png: no usable intrinsics",
    ),
    "all photos lost": ("nerfstudio", remove_photos, "000.png: there is no such photo, nor that"),
    "no intrinsics": ("nerfstudio", edit_transforms(drop("fl_x", "fl_y")), "intrinsics are missin"),
    "word for number": (
        "nerfstudio",
        edit_transforms(lambda content: content["frames"][0].update(k1="big")),
        "k1 is 'big', expected a number",
    ),
    "unknown model": (
        "nerfstudio",
        edit_transforms(lambda content: content.update(camera_model="NEW")),
        "camera model NEW is not supported",
    ),
    "higher order": (
        "nerfstudio",
        edit_transforms(lambda content: content["frames"][0].update(k4=0.1)),
        "distortion k4 is not supported",
    ),
    "singular": ("nerfstudio", edit_transforms(matrix(SINGULAR)), "003.png: the pose cannot be in"),
    "mirror": ("nerfstudio", edit_transforms(matrix(MIRROR)), "003.png: the pose mirrors"),
    "shear": ("nerfstudio", edit_transforms(matrix(SHEAR)), "003.png: the pose shears"),
    "nan": ("nerfstudio", edit_transforms(matrix(NAN)), "003.png: .* no finite numbers"),
    "no matrix": ("nerfstudio", edit_transforms(matrix("x")), "the pose is no matrix of numbers"),
    "other shape": ("nerfstudio", edit_transforms(matrix([[1]])), r"the pose has shape \(1, 1\)"),
    "twice": (
        "nerfstudio",
        edit_transforms(lambda content: content["frames"].append(content["frames"][0])),
        "000.png: comes twice",
    ),
    "no width": (
        "nerfstudio",
        edit_transforms(lambda content: content["frames"][3].update(w=-128)),
        "003.png: w and h are -128 and 120, expected pixels",
    ),
    "huge width": (
        "nerfstudio",
        edit_transforms(lambda content: content["frames"][3].update(w=1e30)),
        "003.png: w and h are 1000000.* expected pixels",
    ),
    "zero width": (
        "nerfstudio",
        edit_transforms(lambda content: content["frames"][3].update(w=0)),
        "003.png: w and h are 0 and 120, expected pixels",
    ),
    "no frames": ("nerfstudio", edit_transforms(lambda content: content.clear()), "no frames in"),
    "no JSON": ("nerfstudio", cut("transforms.json"), "cannot be read as JSON"),
    "all images' photos lost": ("colmap text", remove_photos, "poses without a photo below .*3"),
    "no cameras": ("colmap binary", remove("sparse/0/cameras.bin"), "model without cameras.bin"),
    "new camera": (
        "colmap text",
        lens("NEW_MODEL 160 120 150 80 60"),
        "cannot be read as a COLMAP model",
    ),
    "distortion without sense": (
        "colmap text",
        lens("OPENCV_FISHEYE 160 120 150 150 80 60 1e6 0 0 0"),
        "the distortion makes no sense",
    ),
    "zero quaternion": (
        "colmap text",
        spoil_quaternion,
        "000.png: the pose cannot be inverted",
    ),
    "cut model": ("colmap binary", cut("sparse/1/images.bin"), "cannot be read as a COLMAP model"),
    "photo of another size": (
        "llff",
        shrink_one_photo,
        "004.png: 100 x 100 pixels, but its camera",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(
    project: Path,
    plain: Truth,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    mistake: str,
) -> None:
    name, spoil, message = MISTAKES[mistake]
    WRITERS[name](plain, tmp_path / "source")
    spoil(tmp_path / "source")
    assert import_scene(tmp_path / "source") == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    assert re.search(message, error), error
    assert [path.name for path in project.rglob("*") if path.is_file()] == ["params.yaml"]


@pytest.mark.parametrize(
    ("format_", "message"),
    [
        ("3d-ovs", "classes.txt: no such file; the 3D-OVS dataset has one"),
        ("llff", "poses_bounds.npy"),
        ("nerfstudio", "transforms.json: no such file"),
        ("colmap", "no COLMAP model in it"),
        ("video", "images: no video file"),
    ],
)
def test_source_of_another_format_than_told_is_one_line(
    project: Path,
    plain: Truth,
    capsys: pytest.CaptureFixture[str],
    format_: str,
    message: str,
) -> None:
    assert import_scene(plain.images.parent / "images", "--format", format_) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert not (project / "data/raw/scene").exists()


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
