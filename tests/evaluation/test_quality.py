"""PSNR by hand, SSIM against scikit-image."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from ovs3d.errors import SceneError
from ovs3d.evaluation.quality import psnr, ssim


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


def test_ssim_of_a_tiny_picture_is_a_clear_error() -> None:
    with pytest.raises(SceneError, match=r"12 x 10 pixels is too small for SSIM.*downscale"):
        ssim(torch.zeros(10, 12, 3), torch.zeros(10, 12, 3))
