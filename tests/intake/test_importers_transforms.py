"""`transforms.json` as it really comes: with other keys, parts, slips, masks and points."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ovs3d.errors import PosesError
from ovs3d.intake.importers_transforms import read_transforms
from ovs3d.params import load_scene_params
from tests.intake import formats
from tests.intake.formats import Truth
from tests.intake.importing import (
    VIEWS,
    Edit,
    check_poses,
    edited,
    file_with,
    find_poses,
    frame_with,
    import_scene,
)


@pytest.fixture
def source(plain: Truth, tmp_path: Path) -> Path:
    """A data set with a sound file, to be changed."""
    formats.write_nerfstudio(plain, tmp_path / "source")
    return tmp_path / "source"


def replaced(old: str, new: str) -> Edit:
    def edit(folder: Path) -> None:
        path = folder / "transforms.json"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return edit


KEYS = {"fl_x": "fx", "fl_y": "fy", "w": "width", "h": "height"}


def with_other_keys(content: dict[str, Any]) -> None:
    for frame in content["frames"]:
        for old, new in KEYS.items():
            frame[new] = frame.pop(old)
        frame["camera_to_world"] = frame.pop("transform_matrix")
        frame["image_path"] = frame.pop("file_path")


def with_matrices(content: dict[str, Any]) -> None:
    for frame in content["frames"]:
        fx, fy, cx, cy = (frame.pop(key) for key in ("fl_x", "fl_y", "cx", "cy"))
        frame["K"] = [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]


SLIPS: dict[str, Edit] = {
    "trailing comma": replaced("}\n  ]", "},\n  ],"),
    "byte order mark": replaced('{\n  "camera', '\ufeff{\n  "camera'),
    "comments": replaced('"frames"', '// by hand: "frames"\n /* ] */ "frames"'),
    "other keys": edited(with_other_keys),
    "matrices of intrinsics": edited(with_matrices),
    "model in small letters": file_with(camera_model="opencv"),
    "perspective": file_with(camera_model="PERSPECTIVE"),
    "null for what is not known": file_with(k4=None),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_slips_and_dialects_are_read(plain: Truth, source: Path, slip: str) -> None:
    SLIPS[slip](source)
    check_poses(source, plain)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (replaced('"frames"', "'frames'"), r"line 3 column 3.*JSON wants double quotes"),
        (replaced('"frames": [', '"frames": [ {]'), "line 3 column"),
        (edited(lambda c: c["frames"][4].pop("file_path")), "frame 4: no file_path"),
        (frame_with(4, w="x"), "frame 4, ./images/004.png: w is 'x'"),
        (file_with(latlong=True), "frame 0, .*camera model latlong is not"),
        (file_with(orthographic=True), "camera model orthographic is not"),
        (file_with(camera_model="EQUIRECTANGULAR"), "model EQUIRECTANGULAR is"),
        (
            frame_with(5, camera_model="EQUIRECTANGULAR"),
            "frame 5, .*EQUIRECTANGULAR",
        ),
        (file_with(ftheta_p0=0.1, ftheta_p1=-1.0), "F-theta lens"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(
    source: Path, spoil: Edit, message: str
) -> None:
    spoil(source)
    with pytest.raises(PosesError, match=message):
        read_transforms(source)


def test_frames_without_a_matrix_stay_out_and_are_named(plain: Truth, source: Path) -> None:
    edited(lambda content: content["frames"][4].pop("transform_matrix"))(source)
    assert read_transforms(source).without_pose == ("004.png",)
    check_poses(source, plain, missing=(4,))


def test_an_f_theta_lens_becomes_the_fisheye_that_follows_it(source: Path) -> None:
    powers = {"ftheta_p0": 0.0, "ftheta_p1": 0.006, "ftheta_p2": 1e-7, "ftheta_p3": -1e-8}
    file_with(**powers)(source)
    camera = next(iter(read_transforms(source).model.cameras.values()))
    x, y = 30.0, -40.0
    angle = 0.006 * 50 + 1e-7 * 50**2 - 1e-8 * 50**3
    at = np.array([camera.principal_point_x + x, camera.principal_point_y + y])
    plane = camera.cam_from_img(at)
    np.testing.assert_allclose(plane, np.tan(angle) * np.array([x, y]) / 50, atol=1e-4)


def test_parts_of_a_synthetic_scene_keep_their_division(
    project: Path, plain: Truth, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    formats.write_instant_ngp(plain, source)
    content = formats.read_transforms(source)
    frames = content.pop("frames")
    for part, chosen in (("train", range(5)), ("val", (5, 6)), ("test", (7, 8))):
        (source / part).mkdir()
        own = []
        for number, view in enumerate(chosen):
            shutil.copy(plain.images / plain.names[view], source / part / f"r_{number}.png")
            own.append({**frames[view], "file_path": f"./{part}/r_{number}"})
        text = json.dumps({**content, "frames": own})
        (source / f"transforms_{part}.json").write_text(text)
    (source / "transforms.json").unlink()
    shutil.rmtree(source / "images")
    assert import_scene(source) == 0
    params = load_scene_params(project / "params.yaml", "scene")
    # Sorted by name: test_r_0, test_r_1, train_r_0 to train_r_4, val_r_0, val_r_1.
    assert (params.test_views, params.val_views) == ((0, 1), (7, 8))
    _, cameras, _ = find_poses(project)
    assert len(cameras) == VIEWS


def test_file_names_of_a_split_become_held_out_views(project: Path, source: Path) -> None:
    tests = ["images/002.png", "images/006.png"]
    lists = {"val_filenames": [*tests, "images/004.png"], "test_filenames": tests}
    file_with(**lists)(source)
    assert import_scene(source) == 0
    params = load_scene_params(project / "params.yaml", "scene")
    assert (params.test_views, params.val_views) == ((2, 6), (4,))


def test_masks_of_frames_are_found(plain: Truth, source: Path) -> None:
    (source / "masks").mkdir()
    Image.new("L", plain.size, 255).save(source / "masks/000.png")

    for view in (0, 1):
        frame_with(view, mask_path=f"C:\\me\\masks\\00{view}.png")(source)
    given = read_transforms(source)
    assert given.masks == {source / "images/000.png": source / "masks/000.png"}
    assert given.notes == ("masks that are not there: C:\\me\\masks\\001.png",)


def test_points_of_a_file_stand_in_where_photos_give_none(
    project: Path, plain: Truth, source: Path
) -> None:
    for path in (source / "images").iterdir():
        Image.new("RGB", plain.size, (90, 120, 60)).save(path)
    head = ["ply", "format ascii 1.0", f"element vertex {len(plain.points)}"]
    head += [f"property float {axis}" for axis in "xyz"]
    head += [f"property uchar {color}" for color in ("red", "green", "blue")]
    rows = [f"{x} {y} {z} 10 20 30" for x, y, z in plain.points]
    (source / "points.ply").write_text("\n".join([*head, "end_header", *rows, ""]))
    file_with(ply_file_path="points.ply")(source)
    assert import_scene(source) == 0
    report, cameras, unit = find_poses(project)
    assert 0 < report.points <= len(plain.points)
    assert "too few" in report.agreement
    inside = unit(plain.points)
    assert (cameras.points_max.numpy() <= inside.max(axis=0) + 1e-3).all()
    assert (cameras.points_min.numpy() >= inside.min(axis=0) - 1e-3).all()
