"""A scene as the user brings it: photos and masks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ovs3d.errors import SceneError

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png")
"""What Pillow, COLMAP and video tools all read."""
MIN_SIDE = 64
"""Pixels; below this neither SIFT nor the feature windows have anything to see."""
NO_LABEL = 255
"""Value of a pixel of a label map that has no label, so a scene has at most 255 labels."""
DECODE_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises for files that are no image, truncated or absurdly large."""

_ORIENTATION_TAG = 0x0112
_UPRIGHT = 1
# What turns a photo upright, by the value of its tag; no turn for any other value.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)


@dataclass(frozen=True)
class Photos:
    """The photos of a scene, all of one size, sorted by name; the position is the view index.

    Attributes:
        paths: one file per view.
        width: pixels, upright (the camera's orientation tag applied).
        height: pixels, upright.
    """

    paths: tuple[Path, ...]
    width: int
    height: int

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """File names without folder."""
        return tuple(path.name for path in self.paths)


def open_photos(images: Path) -> Photos:
    """List the photos of a folder and check that they belong together.

    Only headers are read; a photo that is cut off shows when `load_photo` decodes it.

    Args:
        images: folder with the photos; hidden files and other file types are passed over.

    Raises:
        SceneError: the folder is missing or holds no photo, a photo is unreadable, smaller than
            `MIN_SIDE` or of another size than the first.
    """
    if not images.is_dir():
        raise SceneError(f"{images}: no such folder; put the photos of the scene there")
    files = sorted(path for path in images.iterdir() if not path.name.startswith("."))
    paths = tuple(path for path in files if path.suffix.lower() in PHOTO_SUFFIXES)
    if not paths:
        raise SceneError(f"{images}: no photos in it; expected {' '.join(PHOTO_SUFFIXES)} files")
    width, height = upright_size(paths[0])
    for path in paths:
        size = upright_size(path)
        if min(size) < MIN_SIDE:
            raise SceneError(
                f"{path}: {_times(size)} pixels is too small; both sides must have {MIN_SIDE}"
            )
        if size != (width, height):
            raise SceneError(
                f"{path}: {_times(size)} pixels, but {paths[0].name} has "
                f"{_times((width, height))}; all photos of a scene must have one size"
            )
    return Photos(paths, width, height)


def load_photo(path: Path, downscale: int) -> Tensor:
    """Decode a photo, upright, and shrink it with a box filter.

    Args:
        path: a file of `Photos.paths`.
        downscale: side of the square of photo pixels that becomes one pixel; 1 keeps all.

    Returns:
        uint8 `[height // downscale, width // downscale, 3]`, RGB; the remainder of a side that
        `downscale` does not divide is cropped at the right and at the bottom.

    Raises:
        SceneError: the file cannot be decoded, or nothing is left of it.
    """
    with _opened(path) as file:
        turn = _TURNS.get(_orientation(file))
        stored = eight_bits(file).convert("RGB")
        photo = stored if turn is None else stored.transpose(turn)
    width, height = photo.width // downscale, photo.height // downscale
    if not width or not height:
        raise SceneError(
            f"{path}: nothing is left of {_times(photo.size)} pixels at downscale {downscale}"
        )
    if downscale > 1:
        photo = photo.reduce(downscale, box=(0, 0, width * downscale, height * downscale))
    return torch.from_numpy(np.array(photo))


def eight_bits(image: Image.Image) -> Image.Image:
    """Scale a picture of 16-bit grey values to 8 bits; Pillow would cut them off at 255.

    Raises:
        ValueError: nothing tells which of its numbers is white.
    """
    if image.mode == "F":
        raise ValueError("grey values that are no integers; save it with 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    scaled = np.asarray(image).clip(0, 65535) / 257
    return Image.fromarray(scaled.round().astype(np.uint8))


def same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Tell whether one picture is the other, resized: equal up to the rounding of a side."""
    (width, height), (other_width, other_height) = size, other
    # One pixel more or less of the smaller picture.
    slack = max(width, height, other_width, other_height)
    return abs(width * other_height - height * other_width) <= slack


def is_upright(path: Path) -> bool:
    """Tell whether the stored pixels are upright, that is, need no turning by the EXIF tag.

    Raises:
        SceneError: the file is no image.
    """
    with _opened(path) as file:
        return _orientation(file) not in _TURNS


def file_format(path: Path) -> str | None:
    """Return Pillow's name for the format of a photo, whatever the name of the file says.

    Raises:
        SceneError: the file is no image.
    """
    with _opened(path) as file:
        return file.format


def read_masks(
    segmentations: Path, labels: tuple[str, ...], photos: Photos
) -> dict[int, NDArray[np.uint8]]:
    """Read the masks `<view index>/<label>.png`; a missing folder means no masks.

    A mask covers the pixels brighter than half of its brightest, so that 0/255, 0/1 and soft
    edges all work. Masks may overlap, and leave pixels uncovered.

    Args:
        segmentations: folder of the view folders (`2` and `02` both mean view 2).
        labels: names of the scene's labels.
        photos: the scene's photos; masks have their size.

    Returns:
        View index -> the view's masks for `unpack_masks`, one bit a pixel and label, uint8
        `[ceil(C / 8), height, width]`; sorted by view index.

    Raises:
        SceneError: a folder is no view index or empty, or a mask is no label, no PNG, unreadable
            or of another size than the photos.
    """
    if not segmentations.is_dir():
        return {}
    folders: dict[int, Path] = {}
    for folder in sorted(path for path in segmentations.iterdir() if path.is_dir()):
        if folder.name.startswith("."):
            continue
        view = _view_index(folder, len(photos))
        if view in folders:
            raise SceneError(f"{folder}: view {view} has its masks in {folders[view].name} already")
        folders[view] = folder
    return {view: _packed_masks(folders[view], labels, photos) for view in sorted(folders)}


def unpack_masks(packed: NDArray[np.uint8], count: int) -> NDArray[np.bool_]:
    """Return the masks of one view, whole or a part of it, as bool `[count, height, width]`."""
    return np.unpackbits(packed, axis=0, count=count, bitorder="little").astype(np.bool_)


def stored_size(path: Path) -> tuple[int, int]:
    """Return width and height of a photo's pixels as they are stored.

    Raises:
        SceneError: the file is no image.
    """
    with _opened(path) as file:
        return file.size


def upright_size(path: Path) -> tuple[int, int]:
    """Return width and height of a photo, the camera's orientation tag applied.

    Raises:
        SceneError: the file is no image.
    """
    with _opened(path) as file:
        width, height = file.size
        return (height, width) if _orientation(file) in _SIDEWAYS else (width, height)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as file:
            yield file
    except DECODE_ERRORS as error:
        raise unreadable(path, error) from None


def _orientation(file: Image.Image) -> int:
    # Not the method of PNG files, which decodes all pixels to look for a tag behind them.
    tag: int = Image.Image.getexif(file).get(_ORIENTATION_TAG, _UPRIGHT)
    return tag


def _view_index(folder: Path, count: int) -> int:
    if not folder.name.isdecimal() or int(folder.name) >= count:
        raise SceneError(
            f"{folder}: '{folder.name}' is no view index; the {count} photos, sorted by name, are "
            f"views 0 to {count - 1}"
        )
    return int(folder.name)


def _packed_masks(folder: Path, labels: tuple[str, ...], photos: Photos) -> NDArray[np.uint8]:
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if not files:
        raise SceneError(f"{folder}: no masks in it; expected <label>.png, or remove the folder")
    for file in files:
        if file.suffix.lower() != ".png":
            raise SceneError(f"{file}: masks are PNG files named <label>.png")
        if file.stem not in labels:
            raise SceneError(
                f"{file}: '{file.stem}' is no label of this scene; labels: {', '.join(labels)}"
            )
    packed = np.zeros((-(-len(labels) // 8), photos.height, photos.width), dtype=np.uint8)
    for file in files:
        plane, bit = divmod(labels.index(file.stem), 8)
        packed[plane] |= _load_mask(file, photos).astype(np.uint8) << bit
    return packed


def _load_mask(file: Path, photos: Photos) -> NDArray[np.bool_]:
    try:
        with Image.open(file) as image:
            grey = image.convert("L")
    except DECODE_ERRORS as error:
        raise unreadable(file, error) from None
    size = (photos.width, photos.height)
    if not same_shape(grey.size, size):
        raise SceneError(
            f"{file}: {_times(grey.size)} pixels, but the photos have {_times(size)}; a mask has "
            "the size of its photo, or at least its aspect ratio"
        )
    mask = np.asarray(grey.resize(size, Image.Resampling.NEAREST))
    covered: NDArray[np.bool_] = mask > mask.max() / 2
    return covered


def unreadable(path: Path, error: Exception) -> SceneError:
    """Make the error for a file that Pillow cannot decode."""
    return SceneError(f"{path}: cannot be read as an image ({' '.join(str(error).split())})")


def _times(size: tuple[int, ...]) -> str:
    return " x ".join(str(side) for side in size)
