"""Downscales that fit the size of a scene's photos."""

import math

from ovs3d.params import Preset

REAL_PHOTOS = "photos"
"""Preset that a scene of real photos takes if none is named."""
_MADE_FOR = {"photos": 1600 * 1200, "paper": 4032 * 3024}
"""Preset -> pixels of the photos that its downscales were chosen for."""
_SECTIONS = (
    "clip_features",
    "dino_features",
    "reconstruct",
    "lift",
    "distill",
    "evaluate",
    "render",
)


def fitting_downscales(name: str, preset: Preset, width: int, height: int) -> dict[str, float]:
    """Choose the downscale of every section so that stages see as much as they are meant to.

    Args:
        name: of the preset.
        preset: its sections.
        width: of a photo in pixels.
        height: of a photo in pixels.

    Returns:
        Section -> downscale, at least 1; whole numbers but for DINO. Nothing for a preset that is
        made for no size.
    """
    if name not in _MADE_FOR:
        return {}
    ratio = math.sqrt(width * height / _MADE_FOR[name])
    fitting: dict[str, float] = {}
    for section in _SECTIONS:
        wanted = max(1.0, getattr(preset, section).downscale * ratio)
        fitting[section] = round(wanted, 1) if section == "dino_features" else round(wanted)
    return fitting
