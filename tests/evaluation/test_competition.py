"""Who wins pixels and who comes second, on cases that are counted by hand."""

import numpy as np
import pytest
import torch

from ovs3d.evaluation.competition import compete, prompt_figure

TEXT = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
SCALES = ("s/5 (0)", "s/7 (1)", "s/10 (2)")
COSINES = torch.tensor(
    [
        [0.9, 0.5, 0.1, 0.3],
        [0.7, 0.4, 0.2, 0.1],
        [0.1, 0.1, 0.6, 0.2],
    ]
)


def test_winner_second_and_margin_are_counted_per_label() -> None:
    found = compete(COSINES, TEXT)
    np.testing.assert_allclose(found.shares, [0.75, 0.0, 0.25])
    np.testing.assert_allclose(found.seconds, [[0.0, 2 / 3, 1 / 3], [0.0] * 3, [0.0, 1.0, 0.0]])
    assert found.margins[0, 1] == pytest.approx(0.15)
    assert found.margins[0, 2] == pytest.approx(0.1)
    assert found.margins[2, 1] == pytest.approx(0.4)
    assert found.margin(0) == pytest.approx((0.2 + 0.1 + 0.1) / 3)
    assert np.isnan(found.margin(1))
    assert found.texts[0, 1] == pytest.approx(0.6)


def test_figure_has_a_row_per_label_and_a_column_per_scale() -> None:
    photo = np.zeros((30, 240, 3), dtype=np.uint8)
    relevancy = torch.rand(4, 3, 30, 240, generator=torch.Generator().manual_seed(0))
    wide = prompt_figure(photo, relevancy, ("a", "b", "c", "d"), SCALES, "view 0")
    low = prompt_figure(photo, relevancy[:2], ("a", "b"), SCALES, "view 0")
    assert wide.width == low.width == 3 * 240 + 2 * 8 + 2 * 8
    # Two labels fewer: two titles, maps and gaps.
    assert wide.height - low.height == 2 * (30 + 22 + 8)
