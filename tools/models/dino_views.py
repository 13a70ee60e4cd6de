"""Overlapping crops of unlabelled pictures, and which tokens of two crops show the same place."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tools.models.crops import cut, jitter_light
from tools.models.dino_model import PATCH, normalize
from tools.models.runs import Draw
from tools.models.scenes import Picture

WIDE_SIZE = 96
NARROW_SIZE = 48
WIDE_SIDES = (68, 144)
NARROW_SIDES = (30, 64)
NARROW_VIEWS = 2


@dataclass(frozen=True)
class View:
    """One crop of every picture of a batch.

    Attributes:
        images: (batch, 3, size, size) float32, normalised.
        boxes: (batch, 4) float32, left, top, right, bottom in pixels of the picture; a mirrored
            crop has left > right.
    """

    images: Tensor
    boxes: Tensor

    @property
    def grid(self) -> int:
        """Number of tokens along a side."""
        return int(self.images.shape[-1]) // PATCH

    def token_places(self) -> Tensor:
        """Return the (x, y) of all token centres in pixels of the picture: (batch, n, n, 2)."""
        steps = (torch.arange(self.grid) + 0.5) / self.grid
        left, top, right, bottom = self.boxes.T[..., None]
        x = left + (right - left) * steps
        y = top + (bottom - top) * steps
        n = self.grid
        return torch.stack([x[:, None].expand(-1, n, n), y[:, :, None].expand(-1, n, n)], dim=-1)


def draw_views(
    pictures: Sequence[Picture], batch: int, draw: Draw
) -> tuple[list[View], list[View]]:
    """Draw the two wide and the narrow views of a batch, all of one region per picture.

    Returns:
        Wide views and narrow views; each batch entry shows the same region in all of them.
    """
    rng = draw.numpy
    chosen = [pictures[i] for i in rng.integers(len(pictures), size=batch)]
    centers = [_draw_center(picture, rng) for picture in chosen]
    wide = [_draw_view(chosen, centers, WIDE_SIZE, WIDE_SIDES, 0.25, draw) for _ in range(2)]
    narrow = [
        _draw_view(chosen, centers, NARROW_SIZE, NARROW_SIDES, 0.4, draw)
        for _ in range(NARROW_VIEWS)
    ]
    return wide, narrow


def look_up(maps: Tensor, source: View, places: Tensor) -> tuple[Tensor, Tensor]:
    """Read a view's token map at given places of the picture.

    Args:
        maps: (batch, n, n, dim) values of the source view's tokens.
        source: the view that the maps belong to.
        places: (batch, m, m, 2) pixels of the picture.

    Returns:
        The interpolated values (batch, m, m, dim) and where they lie inside the view, bool.
    """
    left, top, right, bottom = (edge[:, None, None] for edge in source.boxes.T)
    x = (places[..., 0] - left) / (right - left) * 2 - 1
    y = (places[..., 1] - top) / (bottom - top) * 2 - 1
    spots = torch.stack([x, y], dim=-1)
    values = functional.grid_sample(
        maps.permute(0, 3, 1, 2), spots, padding_mode="border", align_corners=False
    )
    return values.permute(0, 2, 3, 1), (x.abs() < 1) & (y.abs() < 1)


def _draw_center(picture: Picture, rng: np.random.Generator) -> tuple[float, float]:
    height, width = picture.entity_map.shape
    return rng.uniform(40, width - 40), rng.uniform(40, height - 40)


def _draw_view(
    pictures: Sequence[Picture],
    centers: Sequence[tuple[float, float]],
    size: int,
    sides: tuple[int, int],
    shift: float,
    draw: Draw,
) -> View:
    rng = draw.numpy
    images, boxes = [], []
    for picture, (x, y) in zip(pictures, centers, strict=True):
        height, width = picture.entity_map.shape
        side = int(np.exp(rng.uniform(np.log(sides[0]), np.log(sides[1]))))
        reach = shift * sides[1]
        left = int(np.clip(x + rng.uniform(-reach, reach) - side / 2, 0, width - side))
        top = int(np.clip(y + rng.uniform(-reach, reach) - side / 2, 0, height - side))
        image = cut(picture.photo, (left, top, left + side, top + side), size)
        mirrored = rng.random() < 0.5
        images.append(image.flip(3) if mirrored else image)
        right = left + side
        boxes.append((right, top, left, top + side) if mirrored else (left, top, right, top + side))
    lit = jitter_light(torch.cat(images).float() / 255, draw.torch)
    return View(normalize(_blur_some(lit, rng)), torch.tensor(boxes, dtype=torch.float32))


def _blur_some(images: Tensor, rng: np.random.Generator) -> Tensor:
    # Half of the views lose detail, as the tokens should not depend on the photo's sharpness.
    if rng.random() < 0.5:
        return images
    size = images.shape[-1]
    small = functional.interpolate(images, size=int(size * rng.uniform(0.5, 0.9)), mode="area")
    return functional.interpolate(small, size=size, mode="bilinear", antialias=True)
