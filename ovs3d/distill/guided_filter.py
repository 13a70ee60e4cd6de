"""The guided filter (He et al., "Guided Image Filtering", PAMI 2013, Eq. 19-21).

In every square window a map is replaced by the affine function a . I + b of the guide's colours I
that is closest to it; a pixel gets the mean over the windows that hold it. Where the guide has an
edge the result has one; where it has none (a = 0) the map is smoothed.
"""

import torch
from torch import Tensor


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

    # Variances are differences of means, of which float32 would leave few digits.
    kind, guide, maps = maps.dtype, guide.double(), maps.double()
    guide_mean, maps_mean = mean(guide), mean(maps)
    variance = mean(guide[:, None] * guide) - guide_mean[:, None] * guide_mean
    covariance = mean(guide[:, None] * maps) - guide_mean[:, None] * maps_mean
    ridge = epsilon * torch.eye(len(guide), dtype=guide.dtype, device=guide.device)
    slopes = torch.linalg.solve(
        variance.permute(2, 3, 0, 1) + ridge, covariance.permute(2, 3, 0, 1)
    )
    slopes = slopes.permute(2, 3, 0, 1)  # [K, C, h, w]
    offsets = maps_mean - (slopes * guide_mean[:, None]).sum(0)
    return ((mean(slopes) * guide[:, None]).sum(0) + mean(offsets)).to(kind)


def _box_mean(values: Tensor, radius: int) -> Tensor:
    """Return the mean of [..., h, w] over squares around every pixel.

    The radius does not change how long it takes.
    """
    for dim in (-2, -1):
        size = values.shape[dim]
        place = torch.arange(size, device=values.device)
        first, end = (place - radius).clamp_min(0), (place + radius + 1).clamp_max(size)
        zero = torch.zeros_like(values.narrow(dim, 0, 1))
        sums = torch.cat((zero, values.cumsum(dim)), dim)
        count = (end - first).view(-1, *(1 for _ in range(-1 - dim)))
        values = (sums.index_select(dim, end) - sums.index_select(dim, first)) / count
    return values
