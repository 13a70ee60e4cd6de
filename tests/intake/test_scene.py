"""Filling a scene's folder: what is told of the source, and where masks and poses go."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from ovs3d.errors import SceneError
from ovs3d.intake.scene import make_scene
from ovs3d.poses.given_poses import read_given
from tests.intake.test_video import picture


def test_what_is_left_out_is_told_and_alpha_too(scene_folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(scene_folder / "images", source)
    (source / "notes.xmp").write_text("")
    (source / "gone.jpg").symlink_to("/nowhere/gone.jpg")
    photo = min(source.glob("*.png"))
    with Image.open(photo) as file:
        holed = file.convert("RGBA")
    holed.paste((255, 0, 255, 0), (0, 0, 20, 20))
    holed.save(photo)
    rows = make_scene(source, tmp_path / "made", tmp_path / "place", words="a, b").rows()
    assert rows["left out (other files)"] == "1 links that lead nowhere, 1 .xmp"
    assert rows["with pixels left out (alpha)"] == "1; white elsewhere"


def test_masks_do_not_count_photos_that_are_gone(scene_folder: Path, tmp_path: Path) -> None:
    (scene_folder / "images/000a.jpg").symlink_to("/nowhere/000a.jpg")
    with pytest.raises(SceneError, match=r"000a\.jpg: leads nowhere, as 1 in all do, but masks"):
        make_scene(scene_folder, tmp_path / "made", tmp_path / "place")


def test_poses_follow_photos_onto_a_square(tmp_path: Path) -> None:
    """One camera lies, the other stands; both see the same rays as before."""
    source = tmp_path / "source"
    (source / "images").mkdir(parents=True)
    frames = []
    for view, (width, height) in enumerate([(160, 120), (120, 160), (160, 120)]):
        picture(view).resize((width, height)).save(source / f"images/{view}.png")
        matrix = [[1, 0, 0, 0.1 * view], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
        lens = {"w": width, "h": height, "fl_x": 150, "fl_y": 151, "cx": 70 + view, "cy": 61}
        frames.append({"file_path": f"images/{view}.png", "transform_matrix": matrix, **lens})
    (source / "transforms.json").write_text(json.dumps({"frames": frames}))
    photos = make_scene(source, tmp_path / "made", tmp_path / "place", words="a, b").photos
    model = read_given(tmp_path / "made/images/poses", photos)
    found = {image.name: list(image.camera.params[:4]) for image in model.images.values()}
    assert found["0.png"] == [150, 151, 70, 61 + 20]
    assert found["1.png"] == [150, 151, 71 + 20, 61]
    assert found["2.png"] == [150, 151, 72, 61 + 20]
    assert (photos.width, photos.height) == (160, 160)
