"""A quick look at a picture: does it decode, and how sharp is it?"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovs3d.photos.picture_files import eight_bits, flat, opened

SIDE = 512
"""Pixels of the shorter side at which sharpness is measured; finer detail is mostly noise."""


@dataclass(frozen=True, eq=False)
class Look:
    """What a glance at a picture tells.

    Attributes:
        sharpness: variance of the Laplacian at `SIDE`; compares pictures of one scene only.
        thumbnail: float32 `[16, 16]`, grey, 0..255.
    """

    sharpness: float
    thumbnail: NDArray[np.float32]


def look(image: Image.Image) -> Look:
    """Measure a picture."""
    shrink = max(1, min(image.size) // SIDE)
    picture = flat(image) if image.has_transparency_data else eight_bits(image)
    grey = picture.convert("L").reduce(shrink)
    pixels = np.asarray(grey, dtype=np.float32)
    laplacian = (
        pixels[:-2, 1:-1]
        + pixels[2:, 1:-1]
        + pixels[1:-1, :-2]
        + pixels[1:-1, 2:]
        - 4 * pixels[1:-1, 1:-1]
    )
    thumbnail = np.asarray(grey.resize((16, 16), Image.Resampling.BOX), dtype=np.float32)
    return Look(float(laplacian.var()), thumbnail)


def look_at_photo(path: Path) -> Look:
    """Decode a photo, a JPEG at reduced size, and measure it.

    Raises:
        SceneError: the file cannot be decoded to its end.
    """
    with opened(path) as file:
        # Skips most of the arithmetic, but still reads the file to its end.
        file.draft("L", (SIDE, SIDE))
        return look(file)
