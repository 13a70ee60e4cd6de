"""The guided filter (He et al., "Guided Image Filtering", PAMI 2013, Eq. 19-21).

In every square window a map is replaced by the affine function of the guide's colours that is
closest to it; a pixel gets the mean over the windows that hold it. Where the guide has an edge the
result has one; where it has none the map is smoothed.
"""

import torch
from torch import Tensor
from torch.nn import functional


def guided_filter(guide: Tensor, maps: Tensor, radius: int, epsilon: float) -> Tensor:
    """Filter maps by a guide.

    The maps of a partition of unity still sum to 1 afterwards, but may leave [0, 1] a little.

    Args:
        guide: [K, h, w] in [0, 1], an image with K channels.
        maps: [C, h, w].
        radius: windows have a side of 2 radius + 1 pixels, cut off at the image's border.
        epsilon: variance of the guide below which it has no edge.

    Returns:
        [C, h, w].
    """

    def mean(values: Tensor) -> Tensor:
        return _box_mean(values, radius)

    guide_mean, maps_mean = mean(guide), mean(maps)
    variance = mean(guide[:, None] * guide) - guide_mean[:, None] * guide_mean
    covariance = mean(guide[:, None] * maps) - guide_mean[:, None] * maps_mean
    ridge = epsilon * torch.eye(len(guide), device=guide.device)
    slopes = torch.linalg.solve(
        variance.permute(2, 3, 0, 1) + ridge, covariance.permute(2, 3, 0, 1)
    )
    slopes = slopes.permute(2, 3, 0, 1)  # [K, C, h, w]
    offsets = maps_mean - (slopes * guide_mean[:, None]).sum(0)
    return (mean(slopes) * guide[:, None]).sum(0) + mean(offsets)


def _box_mean(values: Tensor, radius: int) -> Tensor:
    """Return the mean of [..., h, w] over squares around every pixel."""
    flat = values.reshape(1, -1, *values.shape[-2:])
    return functional.avg_pool2d(
        flat, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False
    ).view(values.shape)
