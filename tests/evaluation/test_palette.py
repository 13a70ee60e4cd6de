"""Label colours stay apart, also for colour-blind eyes."""

import itertools

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from ovs3d.evaluation.palette import NO_LABEL_COLOR, blend, colorize, label_colors, viridis

# Machado et al. 2009, severity 1, for linear RGB.
_PROTANOPIA = [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]
_DEUTERANOPIA = [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]


def _closest(colors: np.ndarray, matrix: np.ndarray) -> float:
    """Return the smallest perceived difference (CIEDE2000) of two colours seen through `matrix`."""
    linear = (colors / 255) ** 2.2
    lab = rgb2lab((linear @ matrix.T).clip(0, 1) ** (1 / 2.2))
    return min(float(deltaE_ciede2000(a, b)) for a, b in itertools.combinations(lab, 2))


@pytest.mark.parametrize(
    ("count", "matrix", "apart"),
    [
        pytest.param(20, np.eye(3), 14, id="twenty, all eyes"),
        pytest.param(20, np.array(_PROTANOPIA), 10, id="twenty, protanopia"),
        pytest.param(20, np.array(_DEUTERANOPIA), 10, id="twenty, deuteranopia"),
    ],
)
def test_label_colors_are_distinct(count: int, matrix: np.ndarray, apart: float) -> None:
    assert _closest(label_colors(count), matrix) > apart


def test_label_colors_never_change_with_the_count() -> None:
    many = label_colors(255)
    assert len(np.unique(many, axis=0)) == 255
    assert np.array_equal(label_colors(5), many[:5])
    assert label_colors(0).shape == (0, 3)


def test_colorize_paints_unknown_indices_black() -> None:
    colors = colorize(np.array([[0, 1], [2, 255]], dtype=np.uint8), 2)
    assert np.array_equal(colors[0], label_colors(2))
    assert np.array_equal(colors[1], [NO_LABEL_COLOR] * 2)


def test_blend_mixes() -> None:
    black, white = np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)
    assert blend(black, white, 0.2)[0, 0].tolist() == [51, 51, 51]


def test_viridis_has_the_known_ends() -> None:
    assert viridis(np.array([-1.0, 0.0, 1.0, 2.0])).tolist() == [
        [68, 1, 84],
        [68, 1, 84],
        [253, 231, 37],
        [253, 231, 37],
    ]
