"""Masks: the forms in which tools save them, and how a user's mistake is told."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ovs3d.errors import SceneError
from ovs3d.photos.dataset import Photos, open_photos
from ovs3d.photos.masks import read_mask, read_masks, unpack_masks
from tests.synthetic import LABELS, SyntheticScene

INSIDE = (slice(10, 30), slice(20, 60))
SHAPE = np.zeros((64, 80), dtype=bool)
SHAPE[INSIDE] = True
TWO_LABELS = ("apple", "table")
PHOTOS = Photos((Path("a.png"), Path("b.png"), Path("c.png")), 80, 64)


def grey(inside: int, outside: int, kind: type = np.uint8) -> np.ndarray:
    return np.where(SHAPE, inside, outside).astype(kind)


def palette(inside: tuple[int, int, int], outside: tuple[int, int, int]) -> Image.Image:
    picture = Image.fromarray(grey(1, 0))
    picture.putpalette([*outside, *inside])
    return picture


def in_alpha(colour: int | np.ndarray, inside: int = 255, outside: int = 0) -> Image.Image:
    picture = Image.fromarray(np.broadcast_to(np.asarray(colour, np.uint8), (64, 80)).copy())
    picture.putalpha(Image.fromarray(grey(inside, outside)))
    return picture


FORMS = {
    "0 and 255": Image.fromarray(grey(255, 0)),
    "0 and 1": Image.fromarray(grey(1, 0)),
    "one bit": Image.fromarray(SHAPE),
    "16 bits": Image.fromarray(grey(65535, 0, np.uint16)),
    "16 bits, outside not quite 0": Image.fromarray(grey(65535, 2000, np.uint16)),
    "16 bits, 0 and 1": Image.fromarray(grey(1, 0, np.uint16)),
    "16 bits, 0 and 255": Image.fromarray(grey(255, 0, np.uint16)),
    "palette, red on black": palette((128, 0, 0), (0, 0, 0)),
    "palette, blue on black": palette((0, 0, 128), (0, 0, 0)),
    "palette, white first": palette((255, 255, 255), (0, 0, 0)),
    "blue on black": Image.fromarray(SHAPE[..., None] * np.array([0, 0, 200], np.uint8)),
    "white, shape in alpha": in_alpha(255),
    "black, shape in alpha": in_alpha(0),
    "soft alpha": in_alpha(255, 200, 90),
    "white on black, opaque": in_alpha(grey(255, 0), 255, 255),
    "white on black, alpha as well": in_alpha(grey(255, 0)),
    "a photo cut out": in_alpha(np.arange(64 * 80).reshape(64, 80) % 251),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_mask_covers_the_same(tmp_path: Path, form: str) -> None:
    FORMS[form].save(tmp_path / "a.png")
    assert np.array_equal(np.asarray(read_mask(tmp_path / "a.png")) == 255, SHAPE)


@pytest.mark.parametrize("form", ["palette", "rgba"])
def test_a_transparent_surround_covers_nothing(tmp_path: Path, form: str) -> None:
    if form == "palette":
        palette((255, 255, 255), (255, 255, 255)).save(tmp_path / "a.png", transparency=bytes([0]))
    else:
        in_alpha(255).save(tmp_path / "a.png")
    assert np.array_equal(np.asarray(read_mask(tmp_path / "a.png")) == 255, SHAPE)


def test_a_palette_of_one_colour_is_refused(tmp_path: Path) -> None:
    palette((0, 0, 0), (0, 0, 0)).save(tmp_path / "a.png")
    with pytest.raises(SceneError, match=r"a\.png: its palette gives all its pixels one colour"):
        read_mask(tmp_path / "a.png")


def test_an_empty_mask_covers_nothing(tmp_path: Path) -> None:
    for kind in (np.uint8, np.uint16):
        Image.fromarray(np.zeros((64, 80), kind)).save(tmp_path / "a.png")
        assert not np.asarray(read_mask(tmp_path / "a.png")).any()


@pytest.mark.parametrize(
    ("kind", "value", "all_covered"),
    [
        (np.uint8, 255, True),
        (np.uint8, 1, True),
        (np.uint8, 7, False),
        (np.uint16, 65535, True),
        (np.uint16, 1, True),
        (np.uint16, 2000, False),
    ],
)
def test_a_mask_of_one_value(tmp_path: Path, kind: type, value: int, all_covered: bool) -> None:
    """An object that fills the photo, or one that is not in it."""
    Image.fromarray(np.full((64, 80), value, kind)).save(tmp_path / "a.png")
    assert (np.asarray(read_mask(tmp_path / "a.png")) == 255).all() == all_covered
    assert (np.asarray(read_mask(tmp_path / "a.png")) == 255).any() == all_covered


def test_names_of_macos_are_those_of_the_labels(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    name = unicodedata.normalize("NFD", "Küche")
    Image.fromarray(grey(255, 0)).save(tmp_path / "0" / f"{name}.png")
    assert list(read_masks(tmp_path, ("Küche",), PHOTOS)) == [0]


def save_mask(path: Path, covered: tuple[slice, slice], value: int = 255) -> None:
    """Save a mask of 80 x 64 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((64, 80), dtype=np.uint8)
    mask[covered] = value
    Image.fromarray(mask).save(path)


def test_read_masks_gives_back_the_label_maps(scene: SyntheticScene, scene_folder: Path) -> None:
    photos = open_photos(scene_folder / "images")
    masks = read_masks(scene_folder / "segmentations", LABELS, photos)
    assert list(masks) == [1, 4]
    for view, mask in masks.items():
        expected = scene.label_maps[view].numpy() == np.arange(len(LABELS))[:, None, None]
        assert np.array_equal(unpack_masks(mask, len(LABELS)), expected)


def test_read_masks_missing_folder_means_none(tmp_path: Path) -> None:
    assert read_masks(tmp_path / "segmentations", TWO_LABELS, PHOTOS) == {}


def test_read_masks_keeps_what_overlaps_and_what_is_uncovered(tmp_path: Path) -> None:
    # Written in the other order, and once with 0/1 in place of 0/255.
    save_mask(tmp_path / "masks" / "02" / "table.png", np.s_[0:40, 20:40], value=1)
    save_mask(tmp_path / "masks" / "02" / "apple.png", np.s_[0:40, 0:30])
    packed = read_masks(tmp_path / "masks", TWO_LABELS, PHOTOS)[2]
    masks = unpack_masks(packed, len(TWO_LABELS))
    assert masks[:, 10, [5, 25, 35, 45]].tolist() == [
        [True, True, False, False],
        [False, True, True, False],
    ]
    assert not masks[:, 40:].any()


def test_read_masks_takes_one_bit_a_label(tmp_path: Path) -> None:
    labels = tuple(f"label {number}" for number in range(19))
    for index in (0, 7, 8, 18):
        save_mask(
            tmp_path / "masks" / "0" / f"label {index}.png", np.s_[index : 2 * index + 1, 3:9]
        )
    packed = read_masks(tmp_path / "masks", labels, PHOTOS)[0]
    assert packed.shape == (3, PHOTOS.height, PHOTOS.width)
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
    tmp_path: Path, files: list[str], message: str
) -> None:
    for file in files:
        save_mask(tmp_path / "masks" / file, np.s_[0:10, 0:10])
    with pytest.raises(SceneError, match=message):
        read_masks(tmp_path / "masks", TWO_LABELS, PHOTOS)


def test_read_masks_empty_view_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "masks" / "1").mkdir(parents=True)
    with pytest.raises(SceneError, match=r"1: no masks in it; expected <label>\.png"):
        read_masks(tmp_path / "masks", TWO_LABELS, PHOTOS)


def test_read_masks_of_another_shape_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "masks" / "1").mkdir(parents=True)
    Image.new("L", (40, 30)).save(tmp_path / "masks" / "1" / "apple.png")
    with pytest.raises(SceneError, match=r"apple\.png: 40 x 30 pixels, .* photos have 80 x 64"):
        read_masks(tmp_path / "masks", TWO_LABELS, PHOTOS)


def test_read_masks_of_another_size_are_resized_by_nearest(tmp_path: Path) -> None:
    small = np.random.default_rng(0).integers(0, 2, (32, 40), dtype=np.uint8) * 255
    (tmp_path / "masks" / "1").mkdir(parents=True)
    Image.fromarray(small).save(tmp_path / "masks" / "1" / "apple.png")
    packed = read_masks(tmp_path / "masks", TWO_LABELS, PHOTOS)[1]
    apple = unpack_masks(packed, len(TWO_LABELS))[TWO_LABELS.index("apple")]
    assert (apple == (small.repeat(2, 0).repeat(2, 1) > 0)).all()


def test_read_masks_unreadable_file_is_an_error(tmp_path: Path) -> None:
    save_mask(tmp_path / "masks" / "1" / "apple.png", np.s_[0:10, 0:10])
    file = tmp_path / "masks" / "1" / "apple.png"
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(SceneError, match=r"apple\.png: cannot be read as an image"):
        read_masks(tmp_path / "masks", TWO_LABELS, PHOTOS)
