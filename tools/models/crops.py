"""Windows of Algorithm 1: where they lie, what they show, and cutting them out fast."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tools.models.scenes import Entity, Picture

SIZE_DIVISORS = (5, 7, 10, 14)
OBJECT_SHARE = 0.65
MIN_PIXELS = 60
NOISE = 8.0
"""The strongest noise of training windows: standard deviation in levels of 255."""
PUSH = 1 / 3
MIDDLE = 5
"""What a window shows is what fills most of its middle, this part of it along both axes."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Crop:
    """A window of a picture: `box` is (left, top, right, bottom) in pixels, right exclusive."""

    picture: Picture
    box: Box
    entity: Entity


def window_box(
    center: tuple[float, float], divisor: int, shape: tuple[int, int], rng: np.random.Generator
) -> Box:
    """Return a window as Algorithm 1 would cut it around a centre.

    Args:
        center: (x, y) in pixels.
        divisor: the window's side is the shorter side of the picture divided by this.
        shape: (height, width) of the picture.
        rng: draws how far each side is pushed outwards, 0 to a third of the side.
    """
    height, width = shape
    side = min(height, width) / divisor
    push = rng.random(4) * side * PUSH
    left = max(round(center[0] - side / 2 - push[0]), 0)
    top = max(round(center[1] - side / 2 - push[1]), 0)
    right = min(round(center[0] + side / 2 + push[2]), width)
    bottom = min(round(center[1] + side / 2 + push[3]), height)
    return left, top, right, bottom


def cut(photo: Tensor, box: Box, size: int) -> Tensor:
    """Return a window of a photo squashed to a square: (1, 3, size, size) uint8.

    Antialiased bicubic, which is what open_clip's preprocessing does with `squash`.
    """
    left, top, right, bottom = box
    window = photo[None, :, top:bottom, left:right]
    return functional.interpolate(window, size=(size, size), mode="bicubic", antialias=True)


def sliding_boxes(shape: tuple[int, int], divisor: int, rng: np.random.Generator) -> list[Box]:
    """Return the windows of one size on Algorithm 1's grid, row by row (stride: size / 4)."""
    height, width = shape
    side = min(height, width) / divisor
    centers_x = np.append(np.arange(side / 2, width - side / 2, side / 4), width - side / 2)
    centers_y = np.append(np.arange(side / 2, height - side / 2, side / 4), height - side / 2)
    return [window_box((x, y), divisor, shape, rng) for y in centers_y for x in centers_x]


class CropSampler:
    """Draws windows from pictures so that objects outnumber backgrounds.

    A window is centred on any pixel of an entity, up to its very edge: a sliding grid shows an
    object off-centre far more often than centred.
    """

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self._pictures = list(pictures)
        self._order = [np.argsort(p.entity_map, axis=None, kind="stable") for p in self._pictures]
        self._order = [order.astype(np.int32) for order in self._order]
        self._ends = [np.cumsum(p.pixel_counts()) for p in self._pictures]

    def draw(self, rng: np.random.Generator) -> Crop:
        """Draw a window from a random picture."""
        number = int(rng.integers(len(self._pictures)))
        picture, ends = self._pictures[number], self._ends[number]
        counts = np.diff(ends)
        want_object = rng.random() < OBJECT_SHARE
        visible = [e for e in picture.entities if counts[e.index - 1] >= MIN_PIXELS]
        wanted = [e for e in visible if e.is_object == want_object] or visible
        chosen = wanted[rng.integers(len(wanted))]
        place = self._order[number][rng.integers(ends[chosen.index - 1], ends[chosen.index])]
        height, width = picture.entity_map.shape
        y, x = divmod(int(place), width)
        divisor = SIZE_DIVISORS[rng.integers(len(SIZE_DIVISORS))]
        box = window_box((x + 0.5, y + 0.5), divisor, (height, width), rng)
        return Crop(picture, box, picture.entity_at(central_entity(picture.entity_map, box)))


def central_entity(entity_map: np.ndarray, box: Box) -> int:
    """Return the index of the entity with most pixels in the middle of a window.

    A caption that speaks of what is in the middle, be it small, teaches the encoder to tell what is
    there from what is around it; otherwise things would grow by half a window.
    """
    left, top, right, bottom = box
    margin_x = (right - left) * (MIDDLE - 1) // (2 * MIDDLE)
    margin_y = (bottom - top) * (MIDDLE - 1) // (2 * MIDDLE)
    middle = entity_map[top + margin_y : bottom - margin_y, left + margin_x : right - margin_x]
    return int(np.bincount(middle.ravel()).argmax())


def cut_augmented(crop: Crop, size: int, rng: np.random.Generator) -> Tensor:
    """Cut a window for training, sometimes noisy, by way of fewer pixels, or mirrored.

    Training pictures are smaller than the photos met in use; losing pixels on the way makes the
    encoder care less about sharpness.
    """
    photo, box = crop.picture.photo, crop.box
    if rng.random() < 0.4:
        photo, box = _noisy(photo, box, rng), (0, 0, box[2] - box[0], box[3] - box[1])
    if rng.random() < 0.35:
        window = cut(photo, box, int(rng.integers(size // 3, size)))
        mode = "bilinear" if rng.random() < 0.5 else "bicubic"
        window = functional.interpolate(window, size=(size, size), mode=mode, antialias=True)
    else:
        window = cut(photo, box, size)
    return window.flip(3) if rng.random() < 0.5 else window


def _noisy(photo: Tensor, box: Box, rng: np.random.Generator) -> Tensor:
    """Return the part of a photo in a box with the noise of a sensor added."""
    left, top, right, bottom = box
    window = photo[:, top:bottom, left:right].permute(1, 2, 0).numpy()
    noise = rng.normal(0, rng.uniform(0, NOISE), window.shape)
    noisy = np.clip(np.round(window + noise), 0, 255).astype(np.uint8)
    return torch.from_numpy(noisy).permute(2, 0, 1)


def jitter_light(windows: Tensor, generator: torch.Generator) -> Tensor:
    """Vary brightness, white balance, contrast and saturation.

    Args:
        windows: (windows, 3, height, width) float32 in [0, 1].
        generator: draws one set of factors per window.

    Returns:
        Same shape and type, clamped to [0, 1].
    """

    def factors(channels: int, spread: float) -> Tensor:
        drawn = torch.rand(len(windows), channels, 1, 1, generator=generator)
        return 1 + spread * (2 * drawn - 1)

    # Kept mild: colour words must stay true ("orange" and "yellow" lie close).
    out = windows * factors(1, 0.3) * factors(3, 0.08)
    mean = out.mean(dim=(1, 2, 3), keepdim=True)
    out = mean + (out - mean) * factors(1, 0.15)
    gray = out.mean(dim=1, keepdim=True)
    return (gray + (out - gray) * factors(1, 0.15)).clamp(0, 1)
