"""PSNR by hand, SSIM against scikit-image."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from ovs3d.errors import SceneError
from ovs3d.evaluation.quality import psnr, similarity, ssim


def test_psnr_of_a_tenth_is_20_decibels() -> None:
    black = torch.zeros(4, 5, 3)
    assert psnr(black + 0.1, black) == pytest.approx(20.0, abs=1e-5)


def test_psnr_of_equal_pictures_is_finite() -> None:
    picture = torch.rand(4, 5, 3)
    assert psnr(picture, picture) == pytest.approx(100.0)


@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_ssim_matches_scikit_image(noise: float) -> None:
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:37, :52] / 10
    smooth = 0.5 + 0.4 * np.stack([np.sin(rows), np.cos(columns), np.sin(rows * columns)], axis=-1)
    noisy = (smooth + noise * generator.standard_normal(smooth.shape)).clip(0, 1)
    expected = structural_similarity(
        smooth,
        noisy,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        channel_axis=-1,
    )
    result = ssim(torch.from_numpy(noisy).float(), torch.from_numpy(smooth).float())
    assert result == pytest.approx(expected, abs=1e-6)


def test_ssim_of_equal_pictures_is_one() -> None:
    picture = torch.rand(11, 11, 3)
    assert ssim(picture, picture) == pytest.approx(1.0)


def test_colours_are_matched_on_the_left_half_and_scored_on_the_right() -> None:
    target = torch.rand(20, 40, 3, generator=torch.Generator().manual_seed(0))
    darker = target * torch.tensor([0.5, 0.6, 0.7]) + 0.1
    darker[:, 38:] = 0
    right = target[:, 20:]
    # Where the change holds nothing is left to err; two columns have a colour that it makes -0.2.
    expected = torch.cat((right[:, :18], torch.zeros(20, 2, 3)), dim=1)
    found, similar = similarity(darker, target, None, match_colours=True)
    assert found == pytest.approx(psnr(expected, right), abs=0.05)
    assert similar == pytest.approx(ssim(expected, right), abs=0.01)
    assert found > similarity(darker, target, None, match_colours=False)[0]


def test_colours_stay_as_they_are_where_the_left_half_shows_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    target, picture = (torch.rand(20, 40, 3, generator=generator) for _ in range(2))
    seen = torch.ones(20, 40, dtype=torch.bool)
    seen[:, :20] = False
    found, _ = similarity(picture, target, seen, match_colours=True)
    assert found == pytest.approx(psnr(picture, target, seen), abs=1e-4)


def test_ssim_of_a_tiny_picture_is_a_clear_error() -> None:
    with pytest.raises(SceneError, match=r"12 x 10 pixels is too small for SSIM.*downscale"):
        ssim(torch.zeros(10, 12, 3), torch.zeros(10, 12, 3))
