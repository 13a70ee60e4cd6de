"""Photos: what is read, and how a user's mistake is told."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.ExifTags import Base

from ovs3d.errors import SceneError
from ovs3d.photos.dataset import Photos, load_photo, open_photos
from tests.synthetic import SyntheticScene


def save_photo(path: Path, width: int = 80, height: int = 64, orientation: int = 1) -> Path:
    """Save a photo that is red left of its middle and black right of it, as stored."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[:, : width // 2, 0] = 255
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    """Three photos of 80 x 64 pixels."""
    for name in ("a.png", "b.png", "c.png"):
        save_photo(tmp_path / "images" / name)
    return open_photos(tmp_path / "images")


def test_open_photos_sorts_by_name_and_passes_other_files_over(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", ".hidden.jpg", "c d.jpeg"):
        save_photo(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a photo")
    photos = open_photos(tmp_path)
    assert photos.names == ("a.png", "b.JPG", "c d.jpeg")
    assert (len(photos), photos.width, photos.height) == (3, 80, 64)


def test_open_photos_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"nowhere: no such folder"):
        open_photos(tmp_path / "nowhere")


def test_open_photos_empty_folder_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"no photos in it; expected \.jpg \.jpeg \.png files"):
        open_photos(tmp_path)


@pytest.mark.parametrize(
    ("save", "message"),
    [
        (lambda path: path.write_text("<html>404</html>"), "cannot be read as an image"),
        (lambda path: save_photo(path, height=63), "80 x 63 pixels is too small; .* 64"),
        (lambda path: save_photo(path, width=81), r"81 x 64 pixels, but a\.png has 80 x 64"),
    ],
    ids=["unreadable", "tiny", "of another size"],
)
def test_open_photos_names_the_one_that_is_wrong(
    tmp_path: Path, save: Callable[[Path], object], message: str
) -> None:
    save_photo(tmp_path / "a.png")
    save(tmp_path / "b.jpg")
    with pytest.raises(SceneError, match=rf"b\.jpg: {message}"):
        open_photos(tmp_path)


def test_open_photos_reads_headers_only(tmp_path: Path) -> None:
    """Of PNGs too, whose EXIF Pillow would look for behind the pixels."""
    noise = np.random.default_rng(0).integers(0, 255, (100, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    photos = open_photos(tmp_path)
    assert (photos.width, photos.height) == (120, 100)
    with pytest.raises(SceneError, match=r"a\.png: cannot be read as an image"):
        load_photo(photos.paths[0], 1)


def test_load_photo_without_downscale_keeps_every_pixel(
    scene: SyntheticScene, scene_folder: Path
) -> None:
    photos = open_photos(scene_folder / "images")
    loaded = torch.stack([load_photo(path, 1) for path in photos.paths])
    assert torch.equal(loaded, scene.photos)


def test_load_photo_averages_blocks_and_crops_the_remainder(tmp_path: Path) -> None:
    pixels = np.zeros((65, 67, 3), dtype=np.uint8)
    pixels[0:3, 0:3, 0] = [[9, 18, 27], [36, 45, 54], [63, 72, 81]]
    pixels[:, 66, 1] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    shrunk = load_photo(tmp_path / "a.png", 3)
    assert shrunk.shape == (21, 22, 3)
    assert shrunk[0, 0].tolist() == [45, 0, 0]
    assert int(shrunk[..., 1].max()) == 0


def test_load_photo_downscale_beyond_the_photo_is_an_error(photos: Photos) -> None:
    with pytest.raises(SceneError, match=r"nothing is left of 80 x 64 pixels at downscale 65"):
        load_photo(photos.paths[0], 65)


def test_load_photo_cut_off_file_is_an_error(photos: Photos) -> None:
    path = photos.paths[0]
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(SceneError, match=r"a\.png: cannot be read as an image"):
        load_photo(path, 1)
