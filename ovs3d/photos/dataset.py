"""A scene's photos: which there are, their pixels, and which of these show the scene."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ovs3d.errors import Ovs3dError, SceneError, one_line

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png")
"""What Pillow, COLMAP and video tools all read."""
MIN_SIDE = 64
"""Pixels; below this neither SIFT nor the feature windows have anything to see."""
NO_LABEL = 255
"""Value of a pixel of a label map that has no label, so a scene has at most 255 labels."""
BACKGROUND = (255, 255, 255)
"""What photos show where their alpha leaves a pixel out: white, as NeRF's synthetic scenes do."""

_MOST_MEGAPIXELS = 178
"""Pillow opens none that is larger (twice its `MAX_IMAGE_PIXELS`); 3 bytes a pixel are at hand."""
_OPAQUE = 128
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
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
                f"{path}: {times(size)} pixels is too small; both sides must have {MIN_SIDE}"
            )
        if size != (width, height):
            raise SceneError(
                f"{path}: {times(size)} pixels, but {paths[0].name} has "
                f"{times((width, height))}; all photos of a scene must have one size"
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


def has_alpha(path: Path) -> bool:
    """Tell whether a photo has an alpha channel or a transparent colour; its header is read.

    Raises:
        SceneError: the file is no image.
    """
    with opened(path) as file:
        return file.has_transparency_data


def opaque(image: Image.Image) -> Image.Image | None:
    """Return where a picture is opaque, 255 or 0 (mode L), or None if it has no alpha."""
    if not image.has_transparency_data:
        return None
    if image.mode.startswith("I"):
        # One of the 16-bit values is the transparent one, which Pillow leaves to its caller.
        shown = np.asarray(image) != image.info["transparency"]
    else:
        shown = np.asarray(image.convert("RGBA").getchannel("A")) >= _OPAQUE
    return Image.fromarray(np.where(shown, 255, 0).astype(np.uint8))


def flat(image: Image.Image) -> Image.Image:
    """Return a picture as RGB of 8 bits, `BACKGROUND` where it is not opaque."""
    mask = opaque(image)
    if mask is None:
        return eight_bits(image).convert("RGB")
    straight = eight_bits(image) if image.mode.startswith("I") else image.convert("RGBA")
    background = Image.new("RGB", image.size, BACKGROUND)
    return Image.composite(straight.convert("RGB"), background, mask)


def upright(picture: Image.Image, file: Image.Image) -> Image.Image:
    """Turn a picture that was made of an opened file as the file's EXIF tag says."""
    turn = _TURNS.get(_orientation(file))
    return picture if turn is None else picture.transpose(turn)


def _shrink(picture: Image.Image, downscale: int, path: Path) -> Image.Image:
    width, height = picture.width // downscale, picture.height // downscale
    if not width or not height:
        raise SceneError(
            f"{path}: nothing is left of {times(picture.size)} pixels at downscale {downscale}"
        )
    if downscale == 1:
        return picture
    return picture.reduce(downscale, box=(0, 0, width * downscale, height * downscale))


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
    with opened(path) as file:
        return _orientation(file) not in _TURNS


def file_format(path: Path) -> str | None:
    """Return Pillow's name for the format of a photo, whatever the name of the file says.

    Raises:
        SceneError: the file is no image.
    """
    with opened(path) as file:
        return file.format


def stored_size(path: Path) -> tuple[int, int]:
    """Return width and height of a photo's pixels as they are stored.

    Raises:
        SceneError: the file is no image.
    """
    with opened(path) as file:
        return file.size


def sideways(file: Image.Image) -> bool:
    """Tell whether the EXIF tag of an opened file turns it by a quarter."""
    return _orientation(file) in _SIDEWAYS


def holds_heic(path: Path) -> bool:
    """Tell whether a file is HEIC by its first bytes."""
    head = _head(path)
    return head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS


def upright_size(path: Path) -> tuple[int, int]:
    """Return width and height of a photo, the camera's orientation tag applied.

    Raises:
        SceneError: the file is no image.
    """
    with opened(path) as file:
        width, height = file.size
        return (height, width) if sideways(file) else (width, height)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture; its pixels are decoded when something asks for them.

    Raises:
        SceneError: the file is no image, damaged, or absurdly large; also what Pillow raises inside
            of the block.
    """
    try:
        with warnings.catch_warnings():
            # Between half of its limit and the limit, Pillow warns.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            file = Image.open(path)
        with file:
            yield file
    except Ovs3dError:
        raise
    except Image.DecompressionBombError:
        raise SceneError(
            f"{path}: has more than {_MOST_MEGAPIXELS} megapixels; make the photos smaller (half "
            "the width is plenty), or take it out if it is no photo"
        ) from None
    # Its decoders raise errors of many types.
    except Exception as error:
        raise unreadable(path, error) from None


def _orientation(file: Image.Image) -> int:
    # Not the method of PNG files, which decodes all pixels to look for a tag behind them.
    tag: int = Image.Image.getexif(file).get(_ORIENTATION_TAG, _UPRIGHT)
    return tag


def unreadable(path: Path, error: Exception) -> SceneError:
    """Make the error for a file that Pillow cannot decode."""
    return SceneError(f"{path}: cannot be read as an image ({_content(path) or one_line(error)})")


def _content(path: Path) -> str | None:
    """Name what a file holds, if that is another thing than its name says."""
    if holds_heic(path):
        return "it holds HEIC; pip install 'ovs3d[heic]', and let new-scene convert it"
    return "it is empty or cannot be read" if not _head(path) else None


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(12)
    except OSError:
        return b""


def times(size: tuple[int, ...]) -> str:
    """Write a size for a message."""
    return " x ".join(str(side) for side in size)
