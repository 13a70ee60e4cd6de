"""How close a rendered picture is to the photo: PSNR and SSIM."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from ovs3d.errors import SceneError
from ovs3d.photos.psnr import psnr_of

_WINDOW_RADIUS = 5
_WINDOW_SIGMA = 1.5
_STABILISERS = (0.01**2, 0.03**2)
"""Window and constants of Wang et al. 2004, for a data range of 1."""
_INERTIA = 1.0
"""Weight of leaving the colours as they are: as much as one white pixel has in the fit."""


def psnr(prediction: Tensor, target: Tensor, seen: Tensor | None = None) -> float:
    """Compute the peak signal-to-noise ratio in decibels.

    Args:
        prediction: [H, W, 3] float in [0, 1].
        target: [H, W, 3] float in [0, 1].
        seen: [H, W] bool, pixels that count; None if all do.

    Returns:
        -10 log10 of the mean squared error, 100 at most (equal pictures).
    """
    if seen is not None:
        prediction, target = prediction[seen], target[seen]
    error = (prediction.double() - target.double()).square().mean().item()
    return psnr_of(error)


def ssim(prediction: Tensor, target: Tensor, seen: Tensor | None = None) -> float:
    """Compute the structural similarity with an 11 x 11 Gaussian window (Wang et al. 2004).

    The mean is over colour channels and over the pixels whose window lies inside the picture.

    Args:
        prediction: [H, W, 3] float in [0, 1].
        target: [H, W, 3] float in [0, 1].
        seen: [H, W] bool; others are taken as equal. None if all count.

    Raises:
        SceneError: the picture is smaller than the window.
    """
    side = 2 * _WINDOW_RADIUS + 1
    if min(target.shape[:2]) < side:
        height, width = target.shape[:2]
        raise SceneError(
            f"a picture of {width} x {height} pixels is too small for SSIM ({side} x {side}); "
            f"use a smaller downscale"
        )
    if seen is not None:
        prediction = torch.where(seen[..., None], prediction, target)
    a, b = prediction.double(), target.double()
    c1, c2 = _STABILISERS
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a = _blur(a * a) - mean_a * mean_a
    variance_b = _blur(b * b) - mean_b * mean_b
    covariance = _blur(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a.square() + mean_b.square() + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return (luminance * structure).mean().item()


def similarity(
    prediction: Tensor, target: Tensor, seen: Tensor | None, match_colours: bool
) -> tuple[float, float]:
    """Return PSNR and SSIM; arguments are theirs.

    With `match_colours` they are those of the right half, once an affine change of colour has been
    fitted on the left half: the exposure of a photo that is held out cannot be known.
    """
    if match_colours:
        middle = target.shape[1] // 2
        left, right = (slice(None), slice(middle)), (slice(None), slice(middle, None))
        shown = None if seen is None else seen[left]
        change = _fit_colours(prediction[left], target[left], shown)
        prediction = (_with_one(prediction[right]) @ change).clamp(0, 1)
        target, seen = target[right], None if seen is None else seen[right]
    return psnr(prediction, target, seen), ssim(prediction, target, seen)


def _fit_colours(prediction: Tensor, target: Tensor, seen: Tensor | None) -> Tensor:
    """Return the [4, 3] by which pictures [h, w, 3], with a column of ones, become others."""
    if seen is not None:
        prediction, target = prediction[seen], target[seen]
    known = _with_one(prediction).reshape(-1, 4).double()
    wanted = target.reshape(-1, 3).double() - known[:, :3]
    # A little inertia: what the half does not show, a second colour for instance, stays.
    inertia = _INERTIA * torch.eye(4, dtype=torch.float64, device=known.device)
    change = torch.linalg.solve(known.T @ known + inertia, known.T @ wanted)
    fitted: Tensor = (change + torch.eye(4, 3, dtype=torch.float64, device=known.device)).float()
    return fitted


def _with_one(picture: Tensor) -> Tensor:
    return torch.cat((picture, torch.ones_like(picture[..., :1])), dim=-1)


def _blur(image: Tensor) -> Tensor:
    """Average [H, W, 3] with the Gaussian window, where it fits: [3, 1, H - 10, W - 10]."""
    offsets = torch.arange(
        -_WINDOW_RADIUS, _WINDOW_RADIUS + 1, dtype=image.dtype, device=image.device
    )
    weights = torch.exp(-0.5 * (offsets / _WINDOW_SIGMA).square())
    weights = weights / weights.sum()
    channels = image.permute(2, 0, 1)[:, None]
    rows = conv2d(channels, weights[None, None, :, None])
    return conv2d(rows, weights[None, None, None, :])
