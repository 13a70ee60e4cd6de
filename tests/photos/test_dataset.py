"""Photos and masks: what is read, and how a user's mistake is told."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from ovs3d.errors import SceneError
from ovs3d.photos.dataset import (
    Photos,
    is_upright,
    load_photo,
    open_photos,
)
from ovs3d.photos.masks import read_masks, unpack_masks
from ovs3d.photos.sharpness import look_at_photo
from tests.synthetic import LABELS, SyntheticScene

ROTATED_LEFT = 6
"""EXIF orientation of a photo whose stored pixels must be turned clockwise."""
TWO_LABELS = ("apple", "table")


def save_photo(path: Path, width: int = 80, height: int = 64, orientation: int = 1) -> Path:
    """Save a photo that is red left of its middle and black right of it, as stored."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[:, : width // 2, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    """Three photos of 80 x 64 pixels."""
    for name in ("a.png", "b.png", "c.png"):
        save_photo(tmp_path / "images" / name)
    return open_photos(tmp_path / "images")


def save_mask(path: Path, covered: tuple[slice, slice], value: int = 255) -> None:
    """Save a mask of 80 x 64 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((64, 80), dtype=np.uint8)
    mask[covered] = value
    Image.fromarray(mask).save(path)


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


def test_open_photos_unreadable_file_is_named(tmp_path: Path) -> None:
    save_photo(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_text("<html>404</html>")
    with pytest.raises(SceneError, match=r"b\.jpg: cannot be read as an image"):
        open_photos(tmp_path)


def test_open_photos_tiny_photo_is_named_with_its_size(tmp_path: Path) -> None:
    save_photo(tmp_path / "a.png", width=80, height=63)
    with pytest.raises(SceneError, match=r"a\.png: 80 x 63 pixels is too small; .* 64"):
        open_photos(tmp_path)


def test_open_photos_different_sizes_are_named(tmp_path: Path) -> None:
    save_photo(tmp_path / "a.png")
    save_photo(tmp_path / "b.png", width=81)
    with pytest.raises(SceneError, match=r"b\.png: 81 x 64 pixels, but a\.png has 80 x 64"):
        open_photos(tmp_path)


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


def test_sixteen_bits_of_grey_are_scaled_to_eight(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (64, 80), dtype=np.uint16)
    exif = Image.Exif()
    exif[0x0112] = ROTATED_LEFT
    Image.fromarray(grey * 257).save(tmp_path / "a.png", exif=exif)
    loaded = load_photo(tmp_path / "a.png", 1).numpy()
    assert np.array_equal(loaded, np.rot90(grey, -1)[..., None].repeat(3, axis=2))
    assert look_at_photo(tmp_path / "a.png").thumbnail.mean() == pytest.approx(127, abs=5)


def test_grey_that_is_no_integer_is_refused(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).random((64, 80), dtype=np.float32)
    Image.fromarray(grey).save(tmp_path / "a.png", format="tiff")
    with pytest.raises(SceneError, match=r"a\.png: cannot be read as an image \(grey values that"):
        load_photo(tmp_path / "a.png", 1)


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


def test_read_masks_gives_back_the_label_maps(scene: SyntheticScene, scene_folder: Path) -> None:
    photos = open_photos(scene_folder / "images")
    masks = read_masks(scene_folder / "segmentations", LABELS, photos)
    assert list(masks) == [1, 4]
    for view, mask in masks.items():
        expected = scene.label_maps[view].numpy() == np.arange(len(LABELS))[:, None, None]
        assert np.array_equal(unpack_masks(mask, len(LABELS)), expected)


def test_read_masks_missing_folder_means_none(tmp_path: Path, photos: Photos) -> None:
    assert read_masks(tmp_path / "segmentations", TWO_LABELS, photos) == {}


def test_read_masks_keeps_what_overlaps_and_what_is_uncovered(
    tmp_path: Path, photos: Photos
) -> None:
    # Written in the other order, and once with 0/1 in place of 0/255.
    save_mask(tmp_path / "masks" / "02" / "table.png", np.s_[0:40, 20:40], value=1)
    save_mask(tmp_path / "masks" / "02" / "apple.png", np.s_[0:40, 0:30])
    packed = read_masks(tmp_path / "masks", TWO_LABELS, photos)[2]
    masks = unpack_masks(packed, len(TWO_LABELS))
    assert masks[:, 10, [5, 25, 35, 45]].tolist() == [
        [True, True, False, False],
        [False, True, True, False],
    ]
    assert not masks[:, 40:].any()


def test_read_masks_takes_one_bit_a_label(tmp_path: Path, photos: Photos) -> None:
    labels = tuple(f"label {number}" for number in range(19))
    for index in (0, 7, 8, 18):
        save_mask(
            tmp_path / "masks" / "0" / f"label {index}.png", np.s_[index : 2 * index + 1, 3:9]
        )
    packed = read_masks(tmp_path / "masks", labels, photos)[0]
    assert packed.shape == (3, photos.height, photos.width)
    for index, mask in enumerate(unpack_masks(packed, len(labels))):
        expected = np.zeros_like(mask)
        if index in (0, 7, 8, 18):
            expected[index : 2 * index + 1, 3:9] = True
        assert np.array_equal(mask, expected)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param(["3/apple.png"], r"'3' is no view index; .* views 0 to 2", id="outside"),
        pytest.param(["first/apple.png"], r"'first' is no view index", id="no number"),
        pytest.param(
            ["1/apple.png", "01/apple.png"], r"view 1 has its masks in 01 already", id="twice"
        ),
        pytest.param(
            ["1/pear.png"], r"'pear' is no label of this scene; .*apple, table", id="label"
        ),
        pytest.param(["1/apple.jpg"], r"masks are PNG files named <label>\.png", id="no png"),
    ],
)
def test_read_masks_bad_name_is_one_clear_error(
    tmp_path: Path, photos: Photos, files: list[str], message: str
) -> None:
    for file in files:
        save_mask(tmp_path / "masks" / file, np.s_[0:10, 0:10])
    with pytest.raises(SceneError, match=message):
        read_masks(tmp_path / "masks", TWO_LABELS, photos)


def test_read_masks_empty_view_folder_is_an_error(tmp_path: Path, photos: Photos) -> None:
    (tmp_path / "masks" / "1").mkdir(parents=True)
    with pytest.raises(SceneError, match=r"1: no masks in it; expected <label>\.png"):
        read_masks(tmp_path / "masks", TWO_LABELS, photos)


def test_read_masks_of_another_shape_is_an_error(tmp_path: Path, photos: Photos) -> None:
    save_photo(tmp_path / "masks" / "1" / "apple.png", width=40, height=30)
    with pytest.raises(SceneError, match=r"apple\.png: 40 x 30 pixels, .* photos have 80 x 64"):
        read_masks(tmp_path / "masks", TWO_LABELS, photos)


def test_read_masks_of_another_size_are_resized_by_nearest(tmp_path: Path, photos: Photos) -> None:
    small = np.random.default_rng(0).integers(0, 2, (32, 40), dtype=np.uint8) * 255
    (tmp_path / "masks" / "1").mkdir(parents=True)
    Image.fromarray(small).save(tmp_path / "masks" / "1" / "apple.png")
    packed = read_masks(tmp_path / "masks", TWO_LABELS, photos)[1]
    apple = unpack_masks(packed, len(TWO_LABELS))[TWO_LABELS.index("apple")]
    assert (apple == (small.repeat(2, 0).repeat(2, 1) > 0)).all()


def test_read_masks_unreadable_file_is_an_error(tmp_path: Path, photos: Photos) -> None:
    save_mask(tmp_path / "masks" / "1" / "apple.png", np.s_[0:10, 0:10])
    file = tmp_path / "masks" / "1" / "apple.png"
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(SceneError, match=r"apple\.png: cannot be read as an image"):
        read_masks(tmp_path / "masks", TWO_LABELS, photos)
