"""A scene's photos: which there are, their pixels, and which of these show the scene."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ovs3d.errors import SceneError
from ovs3d.photos.picture_files import flat, opaque, opened, upright, upright_size

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png")
"""What Pillow, COLMAP and video tools all read."""
MIN_SIDE = 64
"""Pixels; below this neither SIFT nor the feature windows have anything to see."""
NO_LABEL = 255
"""Value of a pixel of a label map that has no label, so a scene has at most 255 labels."""


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
    paths = tuple(path for path in visible(images) if path.suffix.lower() in PHOTO_SUFFIXES)
    if not paths:
        raise SceneError(f"{images}: no photos in it; expected {' '.join(PHOTO_SUFFIXES)} files")
    width, height = upright_size(paths[0])
    for path in paths:
        size = upright_size(path)
        if min(size) < MIN_SIDE:
            raise SceneError(
                f"{path}: {times(size)} pixels is too small; both sides must have {MIN_SIDE}"
            )
        if size != (width, height):
            raise SceneError(
                f"{path}: {times(size)} pixels, but {paths[0].name} has "
                f"{times((width, height))}; all photos of a scene must have one size"
            )
    return Photos(paths, width, height)


def visible(folder: Path) -> list[Path]:
    """List what a folder holds by name; hidden files and folders are left out."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


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
    with opened(path) as file:
        photo = upright(flat(file), file)
    return torch.from_numpy(np.array(_shrink(photo, downscale, path)))


def load_seen(path: Path, downscale: int) -> Tensor | None:
    """Tell which pixels of `load_photo` show the scene, that is, are not left out by alpha.

    A pixel of the photo counts from an alpha of one half on; one of the result counts if all its
    photo pixels do, because no other has its own colour.

    Args:
        path: a file of `Photos.paths`.
        downscale: as for `load_photo`.

    Returns:
        bool `[height // downscale, width // downscale]`; None if all do.

    Raises:
        SceneError: the file cannot be decoded, or no pixel counts.
    """
    with opened(path) as file:
        mask = opaque(file)
        if mask is None:
            return None
        mask = upright(mask, file)
    seen = np.asarray(_shrink(mask, downscale, path)) == 255
    if not seen.any():
        raise SceneError(f"{path}: its alpha leaves out every pixel (at downscale {downscale})")
    return None if seen.all() else torch.from_numpy(seen)


def usable_pixels(
    photos: Photos, views: tuple[int, ...], downscale: int, device: torch.device
) -> Tensor | None:
    """List the pixels that photos do not leave out by their alpha, view after view.

    Returns:
        int64 `[R]`, counted over all pixels of all views; None if all are there.

    Raises:
        SceneError: a photo cannot be decoded, or shows nothing.
    """
    seen = [load_seen(photos.paths[view], downscale) for view in views]
    if all(mask is None for mask in seen):
        return None
    shape = (photos.height // downscale, photos.width // downscale)
    whole = torch.ones(shape, dtype=torch.bool)
    flat = torch.cat([(whole if mask is None else mask).flatten() for mask in seen])
    return flat.nonzero()[:, 0].to(device)


def _shrink(picture: Image.Image, downscale: int, path: Path) -> Image.Image:
    width, height = picture.width // downscale, picture.height // downscale
    if not width or not height:
        raise SceneError(
            f"{path}: nothing is left of {times(picture.size)} pixels at downscale {downscale}"
        )
    if downscale == 1:
        return picture
    return picture.reduce(downscale, box=(0, 0, width * downscale, height * downscale))


def same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Tell whether one picture is the other, resized: equal up to the rounding of a side."""
    (width, height), (other_width, other_height) = size, other
    # One pixel more or less of the smaller picture.
    slack = max(width, height, other_width, other_height)
    return abs(width * other_height - height * other_width) <= slack


def times(size: tuple[int, ...]) -> str:
    """Write a size for a message."""
    return " x ".join(str(side) for side in size)
