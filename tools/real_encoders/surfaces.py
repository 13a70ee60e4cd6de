"""Surfaces that ImageNet has no classes for, by pictures of them as a camera may see them."""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

Pixels = NDArray[np.float64]

_LIST = Path(__file__).with_name("surfaces.yaml")
_VIEWS = 16
"""Of each picture; a surface with few pictures gets as many as one with `_FEWEST`."""
_FEWEST = 4
_PAINTED = 128
"""Views of a surface that is only painted."""
_PER_BATCH = 32
_PAT_HEADER = ">5I"


@dataclass(frozen=True)
class Surface:
    """Pictures of one surface, none if it is only painted, and the phrases that mean it."""

    pictures: Sequence[Image.Image]
    phrases: Sequence[str]


def read_surfaces(folder: Path) -> dict[str, Surface]:
    """Read `surfaces.yaml` with its pictures, which lie anywhere below a folder."""
    files = {file.name: file for file in folder.rglob("*") if file.suffix in (".jpg", ".pat")}
    return {
        name: Surface([_read(files[each]) for each in entry["pictures"]], entry["phrases"])
        for name, entry in yaml.safe_load(_LIST.read_text()).items()
    }


def surface_directions(
    surfaces: Mapping[str, Surface],
    embed: Callable[[Tensor], Tensor],
    size: int,
) -> dict[str, Tensor]:
    """Return what phrases mean: the mean over the surfaces that they name of their views' mean.

    Args:
        surfaces: by name.
        embed: from squares [N, 3, size, size] of 0..255 to vectors [N, D].
        size: side of the squares.

    Returns:
        Phrase -> unit vector [D].
    """
    generator = np.random.default_rng(0)
    sums: dict[str, Tensor] = {}
    for surface in surfaces.values():
        views = torch.from_numpy(draw_views(surface.pictures, size, generator)).permute(0, 3, 1, 2)
        vectors = torch.cat([embed(batch.float()) for batch in views.split(_PER_BATCH)])
        mean = torch.nn.functional.normalize(vectors.mean(0), dim=0)
        for phrase in surface.phrases:
            sums[phrase] = sums.get(phrase, torch.zeros_like(mean)) + mean
    return {phrase: torch.nn.functional.normalize(each, dim=0) for phrase, each in sums.items()}


def draw_views(
    pictures: Sequence[Image.Image], size: int, generator: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw views of a surface: from near or far, aslant, turned, out of focus, shaded, noisy.

    Returns:
        [N, size, size, 3].
    """
    count = _VIEWS * max(_FEWEST, len(pictures)) if pictures else _PAINTED
    views = [
        _view(pictures[number % len(pictures)] if pictures else _paint(generator), size, generator)
        for number in range(count)
    ]
    return np.stack(views)


def _view(picture: Image.Image, size: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    square = _aslant(_part(picture, generator), size, generator)
    if generator.random() < 0.25:
        square = square.rotate(90 * int(generator.integers(1, 4)))
    # Windows are smaller than the encoder's square as often as not.
    small = int(generator.uniform(size / 4, size))
    square = square.resize((small, small), Image.Resampling.BOX)
    square = square.resize((size, size), Image.Resampling.BICUBIC)
    if generator.random() < 0.4:
        square = square.filter(ImageFilter.GaussianBlur(generator.uniform(0, 3)))
    lit = np.asarray(square) * _light(size, generator)
    noise = generator.normal(0, 1, lit.shape) * generator.uniform(0, 5)
    clipped: NDArray[np.uint8] = (lit + noise).clip(0, 255).astype(np.uint8)
    return clipped


def _part(picture: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Cut a square out of a picture or, seen from further away, out of three by three of it."""
    if generator.random() < 0.4:
        width, height = picture.size
        tiles = Image.new("RGB", (3 * width, 3 * height))
        for place in range(9):
            tiles.paste(picture, (place % 3 * width, place // 3 * height))
        picture = tiles
    side = int(generator.uniform(0.35, 1) * min(picture.size))
    left = int(generator.integers(picture.width - side + 1))
    upper = int(generator.integers(picture.height - side + 1))
    return picture.crop((left, upper, left + side, upper + side))


def _aslant(part: Image.Image, size: int, generator: np.random.Generator) -> Image.Image:
    """Resize a square, half of the time as if its upper side were further away."""
    cut = generator.uniform(0, 0.35) * part.width if generator.random() < 0.5 else 0.0
    side = part.width
    corners = (cut, 0, 0, side, side, side, side - cut, 0)
    return part.transform((size, size), Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)


def _light(size: int, generator: np.random.Generator) -> Pixels:
    """Return factors [size, size, 3]: smooth shading, exposure and white balance."""
    coarse = generator.normal(0, generator.uniform(0, 0.25), (3, 3)).astype(np.float32)
    smooth = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
    colour = generator.uniform(0.5, 1.25) * (1 + generator.normal(0, 0.08, 3))
    shading: Pixels = (1 + np.asarray(smooth, dtype=np.float64))[..., None] * colour
    return shading


def _paint(generator: np.random.Generator) -> Image.Image:
    """Paint a wall: any grey with a tint, and a little roughness."""
    colour = generator.uniform(60, 240) + generator.normal(0, 12, 3)
    rough = generator.normal(0, 1, (256, 256, 1)) * generator.uniform(0, 6)
    return Image.fromarray((colour + rough).clip(0, 255).astype(np.uint8))


def _read(file: Path) -> Image.Image:
    if file.suffix == ".pat":
        return _read_pattern(file)
    return Image.open(file).convert("RGB")


def _read_pattern(file: Path) -> Image.Image:
    """Read a pattern of GIMP: size of the header, version, width, height, channels; pixels."""
    content = file.read_bytes()
    start, _, width, height, channels = struct.unpack_from(_PAT_HEADER, content)
    pixels = np.frombuffer(content, np.uint8, width * height * channels, start)
    planes = pixels.reshape(height, width, channels)[..., :3]
    # One or two channels are grey, with opacity.
    return Image.fromarray(planes if channels >= 3 else np.repeat(planes[..., :1], 3, 2))
