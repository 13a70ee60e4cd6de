"""A mistake in a data set is one clear line, and leaves nothing behind."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.intake.formats import WRITERS, Truth
from tests.intake.importing import Edit, edited, file_with, frame_with, import_scene


def edit_llff(change: Callable[[Any], Any]) -> Edit:
    def edit(folder: Path) -> None:
        path = folder / "poses_bounds.npy"
        np.save(path, change(np.load(path)))

    return edit


def lens(words: str) -> Edit:
    def edit(folder: Path) -> None:
        path = folder / "sparse/0/cameras.txt"
        ids = [line.split()[0] for line in path.read_text().splitlines()[1:]]
        path.write_text("".join(f"{camera_id} {words}\n" for camera_id in ids))

    return edit


def drop(*keys: str) -> Callable[[dict[str, Any]], object]:
    return lambda content: [frame.pop(key) for frame in content["frames"] for key in keys]


def cut(file: str) -> Edit:
    def edit(folder: Path) -> None:
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(content[: len(content) // 2])

    return edit


def remove(file: str) -> Edit:
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
MISTAKES: dict[str, tuple[str, Edit, str]] = {
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
    "no intrinsics": ("nerfstudio", edited(drop("fl_x", "fl_y")), "intrinsics are missin"),
    "word for number": ("nerfstudio", frame_with(0, k1="big"), "k1 is 'big', expected a number"),
    "unknown model": (
        "nerfstudio",
        file_with(camera_model="NEW"),
        "camera model NEW is not supported",
    ),
    "higher order": ("nerfstudio", frame_with(0, k4=0.1), "distortion k4 is not supported"),
    "singular": (
        "nerfstudio",
        frame_with(3, transform_matrix=SINGULAR),
        "003.png: the pose cannot be in",
    ),
    "mirror": ("nerfstudio", frame_with(3, transform_matrix=MIRROR), "003.png: the pose mirrors"),
    "shear": ("nerfstudio", frame_with(3, transform_matrix=SHEAR), "003.png: the pose shears"),
    "nan": ("nerfstudio", frame_with(3, transform_matrix=NAN), "003.png: .* no finite numbers"),
    "no matrix": (
        "nerfstudio",
        frame_with(3, transform_matrix="x"),
        "the pose is no matrix of numbers",
    ),
    "other shape": (
        "nerfstudio",
        frame_with(3, transform_matrix=[[1]]),
        r"the pose has shape \(1, 1\)",
    ),
    "twice": (
        "nerfstudio",
        edited(lambda content: content["frames"].append(content["frames"][0])),
        "000.png: comes twice",
    ),
    "no width": (
        "nerfstudio",
        frame_with(3, w=-128),
        "003.png: w and h are -128 and 120, expected pixels",
    ),
    "huge width": (
        "nerfstudio",
        frame_with(3, w=1e30),
        "003.png: w and h are 1000000.* expected pixels",
    ),
    "zero width": (
        "nerfstudio",
        frame_with(3, w=0),
        "003.png: w and h are 0 and 120, expected pixels",
    ),
    "no frames": ("nerfstudio", edited(lambda content: content.clear()), "no frames in"),
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
    "zero quaternion": ("colmap text", spoil_quaternion, "000.png: the pose cannot be inverted"),
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
