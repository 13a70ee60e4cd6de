"""Downscales that fit the size of a scene's photos."""

import math

from ovs3d.params import Preset

REAL_PHOTOS = "paper"
"""Preset whose models know real photos, and whose downscales depend on their size."""
_MADE_FOR = 4032 * 3024
"""Pixels of the photos that the downscales of that preset were chosen for."""
_SECTIONS = ("clip_features", "dino_features", "reconstruct", "distill", "evaluate", "render")


def fitting_downscales(preset: Preset, width: int, height: int) -> dict[str, float]:
    """Choose the downscale of every section so that stages see as much as of a large photo.

    Args:
        preset: `REAL_PHOTOS`.
        width: of a photo in pixels.
        height: of a photo in pixels.

    Returns:
        Section -> downscale, at least 1; whole numbers but for DINO.
    """
    ratio = math.sqrt(width * height / _MADE_FOR)
    fitting: dict[str, float] = {}
    for section in _SECTIONS:
        wanted = max(1.0, getattr(preset, section).downscale * ratio)
        fitting[section] = round(wanted, 1) if section == "dino_features" else round(wanted)
    return fitting
