"""Masks in the forms in which tools save them."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ovs3d.errors import SceneError
from ovs3d.photos.dataset import Photos
from ovs3d.photos.masks import read_mask, read_masks

INSIDE = (slice(10, 30), slice(20, 60))
SHAPE = np.zeros((64, 80), dtype=bool)
SHAPE[INSIDE] = True


def grey(inside: int, outside: int, kind: type = np.uint8) -> np.ndarray:
    return np.where(SHAPE, inside, outside).astype(kind)


def palette(inside: tuple[int, int, int], outside: tuple[int, int, int]) -> Image.Image:
    picture = Image.fromarray(grey(1, 0)).convert("P")
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
    photos = Photos((tmp_path / "x.png",), 80, 64)
    assert list(read_masks(tmp_path, ("Küche",), photos)) == [0]
