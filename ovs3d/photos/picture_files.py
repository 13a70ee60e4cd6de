"""Picture files, opened with what Pillow leaves to its callers.

That is the turn by the EXIF tag, what transparency leaves out, grey values of 16 bits, and errors
that name the file.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from ovs3d.errors import Ovs3dError, SceneError, one_line

BACKGROUND = (255, 255, 255)
"""What photos show where their alpha leaves a pixel out: white, as NeRF's synthetic scenes do."""
JPEG: Mapping[str, Any] = {"quality": 95, "subsampling": 0}
"""Options of Pillow for a JPEG that stands in for the photo it was made from."""

_MOST_MEGAPIXELS = 178
"""Pillow opens none that is larger (twice its `MAX_IMAGE_PIXELS`); 3 bytes a pixel are at hand."""
_OPAQUE = 128
"""Alpha from which on a pixel is shown: one half."""
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
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
    # Pillow's decoders raise errors of many types.
    except Exception as error:
        reason = _content(path) or one_line(error)
        raise SceneError(f"{path}: cannot be read as an image ({reason})") from None


def holds_heic(path: Path) -> bool:
    """Tell whether a file is HEIC by its first bytes."""
    head = _head(path)
    return head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS


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


def has_alpha(path: Path) -> bool:
    """Tell whether a photo has an alpha channel or a transparent colour; its header is read.

    Raises:
        SceneError: the file is no image.
    """
    with opened(path) as file:
        return file.has_transparency_data


def is_upright(path: Path) -> bool:
    """Tell whether the stored pixels are upright, that is, need no turning by the EXIF tag.

    Raises:
        SceneError: the file is no image.
    """
    with opened(path) as file:
        return _orientation(file) not in _TURNS


def upright_size(path: Path) -> tuple[int, int]:
    """Return width and height of a photo, the camera's orientation tag applied.

    Raises:
        SceneError: the file is no image.
    """
    with opened(path) as file:
        width, height = file.size
        return (height, width) if sideways(file) else (width, height)


def sideways(file: Image.Image) -> bool:
    """Tell whether the EXIF tag of an opened file turns it by a quarter."""
    return _orientation(file) in _SIDEWAYS


def _orientation(file: Image.Image) -> int:
    # Not the method of PNG files, which decodes all pixels to look for a tag behind them.
    tag: int = Image.Image.getexif(file).get(ExifTags.Base.Orientation, 1)
    return tag


def upright(picture: Image.Image, file: Image.Image) -> Image.Image:
    """Turn a picture that was made of an opened file as the file's EXIF tag says."""
    turn = _TURNS.get(_orientation(file))
    return picture if turn is None else picture.transpose(turn)


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
