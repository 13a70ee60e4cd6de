"""Peak signal-to-noise ratio of a picture and a photo."""

import math

_SMALLEST_ERROR = 1e-10


def psnr_of(error: float) -> float:
    """Return the ratio in decibels, 100 at most, of a mean squared error of values in [0, 1]."""
    return -10.0 * math.log10(max(error, _SMALLEST_ERROR))
