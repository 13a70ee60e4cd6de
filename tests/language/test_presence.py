"""What counts as found: peaks against those of nouns that are not there, worked out by hand."""

import pytest
import torch

from ovs3d.language.presence import FOUND, MASK, PEAK, Calibration, calibrate, peak, peak_points


def test_relevancy_at_the_two_marks_and_below() -> None:
    scale = Calibration(torch.tensor([0.0, 0.0, 0.5]), ordinary=0.2, rare=0.6)
    none = torch.zeros(0, 3)
    found = scale.relevancy(torch.tensor([[0.2, 0.6, 0.6 + 0.7 * 0.5]]), none)
    torch.testing.assert_close(found, torch.tensor([[MASK, FOUND, FOUND]]))


def test_a_negative_that_fits_better_leaves_less_than_a_half() -> None:
    scale = Calibration(torch.zeros(3), ordinary=0.2, rare=0.6)
    texts, negatives = torch.full((1, 3), 0.9), torch.tensor([[0.1, 0.9, 1.0]])
    with_negatives = scale.relevancy(texts, negatives)[0]
    plain = scale.relevancy(texts, negatives[:0])[0]
    assert with_negatives[0] == pytest.approx(float(plain[0]), abs=0.02)
    assert with_negatives[1] == pytest.approx(0.5)
    assert with_negatives[2] < 0.5


def test_nouns_of_the_scene_do_not_raise_the_scale() -> None:
    """Two nouns own the points; of three absent ones the middle is ordinary."""
    points = torch.eye(2).repeat_interleave(50, 0)
    present = torch.eye(2)
    absent = torch.tensor([[0.2, 0.0], [0.3, 0.0], [0.4, 0.1]])
    scale = calibrate(points, torch.cat((present, absent)))
    assert torch.equal(scale.rival, torch.ones(100))
    assert scale.ordinary == pytest.approx(0.3 - 0.7)
    assert scale.ordinary < scale.rare <= 0.4 - 0.7
    alone = calibrate(points, absent)
    assert alone.ordinary > scale.ordinary


def test_a_peak_is_what_few_points_exceed() -> None:
    values = torch.arange(10_000.0)[None]
    assert peak_points(10_000) == 10_000 * PEAK
    assert peak(values) == 10_000 - 10_000 * PEAK
    assert peak_points(3) == 1
