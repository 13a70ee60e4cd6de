"""Models and `transforms.json` as they really come: other names, places, parts and slips."""

import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
import pytest
from PIL import Image

from ovs3d.errors import PosesError
from ovs3d.intake.importers import open_source
from ovs3d.intake.importers_colmap import read_colmap
from ovs3d.intake.importers_transforms import read_transforms
from ovs3d.params import load_scene_params
from tests.intake import formats
from tests.intake.formats import Truth, write_transforms
from tests.intake.importing import VIEWS, find_poses, import_scene


def poses_of(model: pycolmap.Reconstruction, photos: dict[str, Path]) -> dict[str, Any]:
    """Return the poses of a model by the file names of its photos."""
    images = {image.name: image for image in model.images.values() if image.has_pose}
    return {
        path.name: images[name].cam_from_world().inverse().matrix() for name, path in photos.items()
    }


def check_poses(root: Path, truth: Truth, missing: tuple[int, ...] = ()) -> None:
    """Check that every photo has the pose that is its own."""
    given = open_source(root, None).given
    assert given is not None
    found = poses_of(given.model, dict(given.photos))
    assert len(found) == VIEWS - len(missing)
    for view, name in enumerate(truth.names):
        if view not in missing:
            pose = next(p for n, p in found.items() if Path(n).stem.endswith(Path(name).stem))
            np.testing.assert_allclose(pose, truth.world_from_camera[view], atol=1e-9)


def renamed(change: Callable[[str], str]) -> Callable[[Path], None]:
    """Call photos something else in `transforms.json`."""

    def edit(folder: Path) -> None:
        content = formats.read_transforms(folder)
        for frame in content["frames"]:
            frame["file_path"] = change(Path(frame["file_path"]).name)
        write_transforms(folder, content)

    return edit


def moved(target: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        (folder / "images").rename(folder / "to")
        (folder / "to").rename(folder / target)

    return edit


def with_accents(folder: Path) -> None:
    for path in (folder / "images").iterdir():
        path.rename(path.with_name(unicodedata.normalize("NFD", f"Küche {path.name}")))
    renamed(lambda name: f"images/{unicodedata.normalize('NFC', f'Küche {name}')}")(folder)


def escaped(folder: Path) -> None:
    for path in (folder / "images").iterdir():
        path.rename(path.with_name(f"a b {path.name}"))
    renamed(lambda name: f"./images/a%20b%20{name}")(folder)


def with_namesakes(folder: Path) -> None:
    """Put smaller photos and masks of the same names beside the photos."""
    renamed(lambda name: f"/home/me/images/{name}")(folder)
    for other in ("images_2", "masks", "depth"):
        shutil.copytree(folder / "images", folder / other)
        for path in (folder / other).iterdir():
            Image.new("RGB", (80, 60)).save(path)


def in_root(folder: Path) -> None:
    for path in (folder / "images").iterdir():
        path.rename(folder / path.name)
    (folder / "images").rmdir()


NAMES: dict[str, Callable[[Path], None]] = {
    "upper case": renamed(lambda name: f"images/{name.upper()}"),
    "folder in upper case": renamed(lambda name: f"Images/{name}"),
    "without suffix": renamed(lambda name: f"./images/{Path(name).stem}"),
    "backslashes": renamed(lambda name: f".\\images\\{name}"),
    "Windows": renamed(lambda name: f"C:\\Users\\me\\scene\\images\\{name}"),
    "absolute": renamed(lambda name: f"/home/me/scene/images/{name}"),
    "other folder": renamed(lambda name: f"../data/garden/images/{name}"),
    "no folder": renamed(lambda name: name),
    "other type": renamed(lambda name: f"images/{Path(name).stem}.jpg"),
    "accents": with_accents,
    "URL": escaped,
    "namesakes": with_namesakes,
    "photos deeper": moved("data/images"),
    "photos in root": in_root,
}


@pytest.mark.parametrize("kind", NAMES)
def test_photos_are_found_by_whatever_name(plain: Truth, tmp_path: Path, kind: str) -> None:
    formats.write_nerfstudio(plain, tmp_path / "source")
    NAMES[kind](tmp_path / "source")
    check_poses(tmp_path / "source", plain)


def test_a_photo_that_was_deleted_has_no_namesake(plain: Truth, tmp_path: Path) -> None:
    formats.write_nerfstudio(plain, tmp_path / "source")
    with_namesakes(tmp_path / "source")
    (tmp_path / "source/images/003.png").unlink()
    check_poses(tmp_path / "source", plain, missing=(3,))


@pytest.mark.parametrize("writer", [formats.write_nerfstudio, formats.write_colmap_text])
def test_photos_that_were_deleted_are_counted(
    project: Path,
    plain: Truth,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    writer: Callable[[Truth, Path], None],
) -> None:
    writer(plain, tmp_path / "source")
    for name in ("002.png", "006.png"):
        (tmp_path / "source/images" / name).unlink()
    assert import_scene(tmp_path / "source") == 0
    assert "left out (no such photo)" in (told := capsys.readouterr().out)
    assert "2: " in told
    report, cameras, _ = find_poses(project)
    assert report.missing == ()
    assert cameras.names == tuple(n for n in plain.names if n not in ("002.png", "006.png"))


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        content = formats.read_transforms(folder)
        change(content)
        write_transforms(folder, content)

    return edit


def replaced(old: str, new: str) -> Callable[[Path], None]:
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


SLIPS: dict[str, Callable[[Path], None]] = {
    "trailing comma": replaced("}\n  ]", "},\n  ],"),
    "comments": replaced('"frames"', '// by hand: "frames"\n /* ] */ "frames"'),
    "other keys": edited(with_other_keys),
    "matrices of intrinsics": edited(with_matrices),
    "model in small letters": edited(lambda content: content.update(camera_model="opencv")),
    "perspective": edited(lambda content: content.update(camera_model="PERSPECTIVE")),
    "null for what is not known": edited(lambda content: content.update(k4=None)),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_slips_and_dialects_are_read(plain: Truth, tmp_path: Path, slip: str) -> None:
    formats.write_nerfstudio(plain, tmp_path / "source")
    SLIPS[slip](tmp_path / "source")
    check_poses(tmp_path / "source", plain)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (replaced('"frames"', "'frames'"), r"line 3 column 3.*JSON wants double quotes"),
        (replaced('"frames": [', '"frames": [ {]'), "line 3 column"),
        (edited(lambda c: c["frames"][4].pop("file_path")), "frame 4: no file_path"),
        (edited(lambda c: c["frames"][4].update(w="x")), "frame 4, ./images/004.png: w is 'x'"),
        (edited(lambda c: c.update(latlong=True)), "frame 0, .*camera model latlong is not"),
        (edited(lambda c: c.update(orthographic=True)), "camera model orthographic is not"),
        (edited(lambda c: c.update(camera_model="EQUIRECTANGULAR")), "model EQUIRECTANGULAR is"),
        (
            edited(lambda c: c["frames"][5].update(camera_model="EQUIRECTANGULAR")),
            "frame 5, .*EQUIRECTANGULAR",
        ),
        (edited(lambda c: c.update(ftheta_p0=0.1, ftheta_p1=-1.0)), "F-theta lens"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(
    plain: Truth, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    formats.write_nerfstudio(plain, tmp_path / "source")
    spoil(tmp_path / "source")
    with pytest.raises(PosesError, match=message):
        read_transforms(tmp_path / "source")


def test_frames_without_a_matrix_stay_out_and_are_named(plain: Truth, tmp_path: Path) -> None:
    formats.write_nerfstudio(plain, tmp_path / "source")
    edited(lambda content: content["frames"][4].pop("transform_matrix"))(tmp_path / "source")
    assert read_transforms(tmp_path / "source").without_pose == ("004.png",)
    check_poses(tmp_path / "source", plain, missing=(4,))


def test_an_f_theta_lens_becomes_the_fisheye_that_follows_it(plain: Truth, tmp_path: Path) -> None:
    formats.write_nerfstudio(plain, tmp_path / "source")
    powers = {"ftheta_p0": 0.0, "ftheta_p1": 0.006, "ftheta_p2": 1e-7, "ftheta_p3": -1e-8}
    edited(lambda content: content.update(powers))(tmp_path / "source")
    camera = next(iter(read_transforms(tmp_path / "source").model.cameras.values()))
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


def test_file_names_of_a_split_become_held_out_views(
    project: Path, plain: Truth, tmp_path: Path
) -> None:
    formats.write_nerfstudio(plain, tmp_path / "source")
    tests = ["images/002.png", "images/006.png"]
    lists = {"val_filenames": [*tests, "images/004.png"], "test_filenames": tests}
    edited(lambda content: content.update(lists))(tmp_path / "source")
    assert import_scene(tmp_path / "source") == 0
    params = load_scene_params(project / "params.yaml", "scene")
    assert (params.test_views, params.val_views) == ((2, 6), (4,))


def test_masks_of_frames_are_found(plain: Truth, tmp_path: Path) -> None:
    source = tmp_path / "source"
    formats.write_nerfstudio(plain, source)
    (source / "masks").mkdir()
    Image.new("L", plain.size, 255).save(source / "masks/000.png")

    def name_masks(content: dict[str, Any]) -> None:
        for view in (0, 1):
            content["frames"][view]["mask_path"] = f"C:\\me\\masks\\00{view}.png"

    edited(name_masks)(source)
    given = read_transforms(source)
    assert given.masks == {source / "images/000.png": source / "masks/000.png"}
    assert given.notes == ("masks that are not there: C:\\me\\masks\\001.png",)


def test_points_of_a_file_stand_in_where_photos_give_none(
    project: Path, plain: Truth, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    formats.write_nerfstudio(plain, source)
    for path in (source / "images").iterdir():
        Image.new("RGB", plain.size, (90, 120, 60)).save(path)
    head = ["ply", "format ascii 1.0", f"element vertex {len(plain.points)}"]
    head += [f"property float {axis}" for axis in "xyz"]
    head += [f"property uchar {color}" for color in ("red", "green", "blue")]
    rows = [f"{x} {y} {z} 10 20 30" for x, y, z in plain.points]
    (source / "points.ply").write_text("\n".join([*head, "end_header", *rows, ""]))
    edited(lambda content: content.update(ply_file_path="points.ply"))(source)
    assert import_scene(source) == 0
    report, cameras, unit = find_poses(project)
    assert 0 < report.points <= len(plain.points)
    assert "too few" in report.agreement
    inside = unit(plain.points)
    assert (cameras.points_max.numpy() <= inside.max(axis=0) + 1e-3).all()
    assert (cameras.points_min.numpy() >= inside.min(axis=0) - 1e-3).all()


def flattened(folder: Path) -> None:
    """Take the second lines away that every image has."""
    path = folder / "sparse/0/images.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *lines[1::2]]) + "\n")
    (folder / "sparse/0/points3D.txt").write_text("")


def with_windows_lines(folder: Path) -> None:
    for path in (folder / "sparse/0").iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n# more\r\n", 1))


def both_moved(photos: str, model: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        moved(photos)(folder)
        (folder / model).parent.mkdir(parents=True, exist_ok=True)
        (folder / "sparse/0").rename(folder / "model-here")
        (folder / "sparse").rmdir()
        (folder / model).parent.mkdir(parents=True, exist_ok=True)
        (folder / "model-here").rename(folder / model)

    return edit


def without_points(folder: Path) -> None:
    flattened(folder)
    (folder / "sparse/0/points3D.txt").unlink()


PLACES: dict[str, Callable[[Path], None]] = {
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


@pytest.mark.parametrize("folder", ["images_2", "images_8", "input"])
def test_rows_of_llff_belong_to_the_photos_that_are_there(
    plain: Truth, tmp_path: Path, folder: str
) -> None:
    formats.write_llff(plain, tmp_path / "source")
    moved(folder)(tmp_path / "source")
    check_poses(tmp_path / "source", plain)
