"""Bringing photos: bytes kept, orientation kept, HEIC converted, broken files named."""

from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import torch
from PIL import Image

from ovs3d.errors import SceneError
from ovs3d.params import load_scene_params
from ovs3d.scene.dataset import load_photo, open_photos
from ovs3d.scene.intake import bring_photos, list_photos, photo_names, plan_photos
from ovs3d.scene.sfm import reconstruct_poses
from tests.closure import ROOT
from tests.synthetic import SyntheticScene, make_scene, write_scene

CPU = torch.device("cpu")

FOCAL_LENGTH = 0x920A
EXIF_IFD = 0x8769


def bring(folder: Path, images: Path, link: bool = False) -> None:
    bring_photos(plan_photos(list_photos(folder), {}, {}, False), images, link)


def save_heic(pixels: np.ndarray, path: Path) -> None:
    """Save a picture as a phone does, with its focal length."""
    exif = Image.Exif()
    exif.get_ifd(EXIF_IFD)[FOCAL_LENGTH] = 4.25
    heif = pillow_heif.from_pillow(Image.fromarray(pixels))
    heif.save(path, quality=95, exif=exif.tobytes())


def save_turned(pixels: np.ndarray, path: Path) -> None:
    """Save a picture as a camera held sideways does: turned, with a tag that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    # Tag 6 asks for a quarter turn clockwise.
    Image.fromarray(np.ascontiguousarray(np.rot90(pixels))).save(path, exif=exif)


def test_photos_are_copied_byte_for_byte(scene_folder: Path, tmp_path: Path) -> None:
    bring(scene_folder / "images", tmp_path / "images")
    for path in (scene_folder / "images").iterdir():
        assert (tmp_path / "images" / path.name).read_bytes() == path.read_bytes()


def test_linked_photos_take_no_space(scene_folder: Path, tmp_path: Path) -> None:
    bring(scene_folder / "images", tmp_path / "images", link=True)
    for path in (scene_folder / "images").iterdir():
        assert path.samefile(tmp_path / "images" / path.name)


def test_turned_photos_give_the_same_pixels_as_upright_ones(
    scene: SyntheticScene, scene_folder: Path, tmp_path: Path
) -> None:
    turned = tmp_path / "turned"
    turned.mkdir()
    for name, photo in zip(scene.cameras.names, scene.photos, strict=True):
        save_turned(photo.numpy(), turned / name)
    bring(turned, tmp_path / "images")
    photos = open_photos(tmp_path / "images")
    upright = open_photos(scene_folder / "images")
    assert (photos.width, photos.height) == (upright.width, upright.height)
    for path, other in zip(photos.paths, upright.paths, strict=True):
        assert (load_photo(path, 1) == load_photo(other, 1)).all()


def test_turned_photos_give_the_same_poses_as_upright_ones(tmp_path: Path) -> None:
    scene = make_scene(8, 160, 120)
    write_scene(scene, tmp_path / "upright")
    (tmp_path / "turned").mkdir()
    for name, photo in zip(scene.cameras.names, scene.photos, strict=True):
        save_turned(photo.numpy(), tmp_path / "turned" / name)
    params = load_scene_params(ROOT / "params.yaml", "demo").stages.poses
    found = []
    for folder in (tmp_path / "upright/images", tmp_path / "turned"):
        images = tmp_path / f"images of {folder.name}"
        bring(folder, images)
        reconstruct_poses(open_photos(images), params, 0, tmp_path / "poses", CPU)
        found.append((tmp_path / "poses/cameras.json").read_bytes())
    assert found[0] == found[1]


def test_heic_becomes_jpeg_with_its_focal_length(scene: SyntheticScene, tmp_path: Path) -> None:
    phone = tmp_path / "phone"
    phone.mkdir()
    for view in range(2):
        save_heic(scene.photos[view].numpy(), phone / f"IMG_{view}.HEIC")
    bring(phone, tmp_path / "images")
    photos = open_photos(tmp_path / "images")
    assert photos.names == ("IMG_0.jpg", "IMG_1.jpg")
    for view, path in enumerate(photos.paths):
        error = (load_photo(path, 1).float() - scene.photos[view].float()).abs().mean()
        assert error < 8
        with Image.open(path) as file:
            assert file.getexif().get_ifd(EXIF_IFD)[FOCAL_LENGTH] == pytest.approx(4.25)


@pytest.mark.parametrize("name", ["a.heic", "a.jpg", "a.png"])
def test_broken_photo_is_named(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    if name.endswith("heic"):
        save_heic(noise, folder / name)
    else:
        Image.fromarray(noise).save(folder / name)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(SceneError, match=rf"{name}: cannot be read as ") as raised:
        bring(folder, tmp_path / "images")
    assert "\n" not in str(raised.value)


def test_sixteen_bits_of_grey_survive_being_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.full((64, 80), 100 * 257, dtype=np.uint16)).save(path)
    plans = plan_photos([path], {path: None}, {}, True)
    bring_photos(plans, tmp_path / "images", False)
    assert (load_photo(tmp_path / "images/a.png", 1) == 100).all()


def test_photos_that_would_get_one_name_are_refused() -> None:
    paths = [Path("p/IMG_1.HEIC"), Path("p/IMG_1.jpg")]
    with pytest.raises(SceneError, match=r"IMG_1\.jpg: would become IMG_1\.jpg, as IMG_1\.HEIC"):
        photo_names(paths)


def test_subfolders_go_into_names_where_names_alone_are_not_unique() -> None:
    paths = [Path("p/left/1.jpg"), Path("p/right/1.jpg")]
    assert list(photo_names(paths).values()) == ["left_1.jpg", "right_1.jpg"]


def test_folder_without_photos_says_what_it_expects(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / ".hidden.jpg").write_text("")
    with pytest.raises(SceneError, match=r"no photos in it; expected .*\.heic"):
        list_photos(tmp_path)
