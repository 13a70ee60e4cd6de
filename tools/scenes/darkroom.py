"""What a camera does to a picture: exposure, white balance, blur, noise and compression."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.uint8]

HELD_OUT_SHARE = 0.5
"""Photos that are scored differ in exposure and white balance by this share of the others."""


@dataclass(frozen=True)
class Darkroom:
    """How much the photos of one scene may differ (each drawn evenly up to these limits).

    Exposure in stops and warmth in stops between red and blue, to both sides; blur and noise as
    standard deviations, in pixels and in levels of 255.
    """

    exposure: float = 0.0
    warmth: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    quality: tuple[int, int] = (92, 95)

    def develop(self, pixels: Pixels, seed: tuple[int, ...], held_out: bool) -> Image.Image:
        """Return the photo that the camera makes of a rendered picture."""
        rng = np.random.default_rng(seed)
        share = HELD_OUT_SHARE if held_out else 1.0
        exposure, warmth = share * rng.uniform(-1, 1, 2) * (self.exposure, self.warmth)
        stops = np.array([exposure + warmth / 2, exposure, exposure - warmth / 2])
        lit = to_srgb(to_linear(pixels) * 2.0**stops)
        blur = float(rng.uniform(0, self.blur))
        soft = Image.fromarray(lit).filter(ImageFilter.GaussianBlur(blur))
        grain = rng.normal(0, self.noise * rng.uniform(0.5, 1), pixels.shape)
        return Image.fromarray(np.clip(np.round(np.asarray(soft) + grain), 0, 255).astype(np.uint8))

    def draw_quality(self, seed: tuple[int, ...]) -> int:
        """Draw the JPEG quality of a photo."""
        low, high = self.quality
        return int(np.random.default_rng((*seed, 1)).integers(low, high + 1))


def to_linear(pixels: Pixels) -> NDArray[np.float64]:
    """Convert sRGB levels to linear light in 0..1."""
    share = pixels / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def to_srgb(light: NDArray[np.float64]) -> Pixels:
    """Convert linear light to sRGB levels; what is brighter than 1 is cut off."""
    light = np.clip(light, 0, 1)
    share = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(255 * share).astype(np.uint8)
