"""What Pillow leaves to its callers: turns by the EXIF tag, and grey values of 16 bits."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.ExifTags import Base

from ovs3d.errors import SceneError
from ovs3d.photos.dataset import load_photo, open_photos
from ovs3d.photos.picture_files import is_upright
from ovs3d.photos.sharpness import look_at_photo
from tests.photos.test_dataset import save_photo

ROTATED_LEFT = 6
"""EXIF orientation of a photo whose stored pixels must be turned clockwise."""


def test_photos_are_turned_upright(tmp_path: Path) -> None:
    path = save_photo(tmp_path / "a.jpg", width=80, height=64, orientation=ROTATED_LEFT)
    photos = open_photos(tmp_path)
    assert (photos.width, photos.height) == (64, 80)
    assert not is_upright(path)
    pixels = load_photo(path, 1)
    assert pixels.shape == (80, 64, 3)
    # Red was on the left as stored; turned clockwise it is at the top.
    assert pixels[:36, :, 0].min() > 200
    assert pixels[44:, :, 0].max() < 50


@pytest.mark.parametrize("tag", [0, 1, 9])
def test_tags_that_name_no_turn_leave_photos_upright(tmp_path: Path, tag: int) -> None:
    path = save_photo(tmp_path / "a.png", orientation=tag)
    assert is_upright(path)
    assert load_photo(path, 1).shape == (64, 80, 3)


def test_a_tag_that_is_no_number_leaves_a_photo_upright(tmp_path: Path) -> None:
    # One entry: the orientation, as a text of four characters.
    entry = struct.pack("<HHI4s", 0x0112, 2, 4, b"top\0")
    exif = b"Exif\0\0II" + struct.pack("<HIH", 42, 8, 1) + entry + bytes(4)
    Image.new("RGB", (80, 64)).save(tmp_path / "a.jpg", exif=exif)
    assert is_upright(tmp_path / "a.jpg")


@pytest.mark.parametrize("tag", range(2, 9))
def test_every_turn_is_that_of_the_standard(tmp_path: Path, tag: int) -> None:
    path = save_photo(tmp_path / "a.png", orientation=tag)
    with Image.open(path) as file:
        expected = np.asarray(ImageOps.exif_transpose(file))
    assert not is_upright(path)
    assert np.array_equal(load_photo(path, 1).numpy(), expected)


def test_sixteen_bits_of_grey_are_scaled_to_eight(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (64, 80), dtype=np.uint16)
    exif = Image.Exif()
    exif[Base.Orientation] = ROTATED_LEFT
    Image.fromarray(grey * 257).save(tmp_path / "a.png", exif=exif)
    loaded = load_photo(tmp_path / "a.png", 1).numpy()
    assert np.array_equal(loaded, np.rot90(grey, -1)[..., None].repeat(3, axis=2))
    assert look_at_photo(tmp_path / "a.png").thumbnail.mean() == pytest.approx(127, abs=5)


def test_grey_that_is_no_integer_is_refused(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).random((64, 80), dtype=np.float32)
    Image.fromarray(grey).save(tmp_path / "a.png", format="tiff")
    with pytest.raises(SceneError, match=r"a\.png: cannot be read as an image \(grey values that"):
        load_photo(tmp_path / "a.png", 1)
