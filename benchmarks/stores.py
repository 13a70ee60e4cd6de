"""What a made-up feature store says about its windows."""

from collections.abc import Sequence
from typing import Any

from ovs3d.features.windows import lattice

CLIP_DOWNSCALE = 8


def window_attributes(
    size: tuple[int, int], dim: int, divisors: Sequence[float], strides: float, views: int
) -> dict[str, Any]:
    """Return the attributes that `FeatureStore.resume` needs.

    Args:
        size: width and height of the working image, photo / `CLIP_DOWNSCALE`.
        dim: D.
        divisors: one a scale.
        strides: per window.
        views: how many.
    """
    return {
        "encoder_digest": "",
        "dim": dim,
        "size": size,
        "downscale": CLIP_DOWNSCALE,
        "window_divisors": divisors,
        "strides_per_window": strides,
        "windows_per_scale": [lattice(*size, divisor, strides).count for divisor in divisors],
        "views": tuple(range(views)),
    }
