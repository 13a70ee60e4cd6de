"""Colours: one per label, the same in every picture, and a scale for numbers."""

import colorsys

import numpy as np
from numpy.typing import NDArray

_LABEL_COLORS = (
    # Okabe and Ito 2008: safe for the common kinds of colour blindness.
    "0072b2 e69f00 009e73 d55e00 56b4e9 f0e442 cc79a7 "
    # Each farthest from those before it, from black, white and `WRONG_COLOR`, to normal eyes and
    # with protanopia and deuteranopia.
    "000088 770000 665566 aaddaa ddbbcc 330033 7777ff 770033 bb3322 2200ff 334499 bbddff 331100"
)
_VIRIDIS = "440154 472d7b 3b528b 2c728e 21918c 28ae80 5ec962 addc30 fde725"
_GOLDEN_ANGLE = 0.38196601125

NO_LABEL_COLOR = (0, 0, 0)
"""Pixels that no mask covers, and those whose ray met nothing."""
UNLABELLED = "unlabelled"
"""Name of the latter, where labels are named."""
WRONG_COLOR = (255, 0, 80)
"""Pixels whose label is wrong."""


def label_colors(count: int) -> NDArray[np.uint8]:
    """Return the colours of the first `count` labels as [count, 3]; a label's never changes."""
    colors = list(_parse(_LABEL_COLORS)[:count])
    for index in range(len(colors), count):
        # Past the hand-picked ones: hues by the golden angle, in three levels of brightness.
        hue = index * _GOLDEN_ANGLE % 1.0
        rgb = colorsys.hsv_to_rgb(hue, 0.75, (1.0, 0.75, 0.5)[index % 3])
        colors.append(np.array([round(255 * channel) for channel in rgb], dtype=np.uint8))
    return np.array(colors, dtype=np.uint8).reshape(count, 3)


def color_table(count: int) -> NDArray[np.uint8]:
    """Return the colour of every value of a label map, [256, 3]; from `count` on it is black."""
    table = np.full((256, 3), NO_LABEL_COLOR, dtype=np.uint8)
    table[:count] = label_colors(count)
    return table


def colorize(label_map: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Paint label indices [h, w] as [h, w, 3]."""
    return np.asarray(color_table(count)[label_map], dtype=np.uint8)


def blend(
    picture: NDArray[np.uint8], colors: NDArray[np.uint8], opacity: float
) -> NDArray[np.uint8]:
    """Lay `colors` over `picture` (both [h, w, 3]) with an opacity in [0, 1]."""
    mixed = picture.astype(np.float32) * (1 - opacity) + colors.astype(np.float32) * opacity
    return np.asarray(np.rint(mixed), dtype=np.uint8)


def viridis(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Map numbers in [0, 1] (clipped) of any shape to the viridis colour scale, [..., 3]."""
    anchors = _parse(_VIRIDIS).astype(np.float64)
    positions = np.linspace(0.0, 1.0, len(anchors))
    clipped = np.nan_to_num(values).clip(0, 1)
    channels = [np.interp(clipped, positions, anchors[:, channel]) for channel in range(3)]
    return np.asarray(np.rint(np.stack(channels, axis=-1)), dtype=np.uint8)


def _parse(colors: str) -> NDArray[np.uint8]:
    """Read hexadecimal colours divided by spaces as [N, 3]."""
    return np.array([list(bytes.fromhex(color)) for color in colors.split()], dtype=np.uint8)
