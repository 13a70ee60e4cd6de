"""Relevancy of labels at pixels: what RDA's target is made of (Eq. 6-7)."""

from typing import Literal

import torch
from torch import Tensor

from ovs3d.features.window_features import WindowFeatures


def normalise_relevancy(relevancy: Tensor) -> Tensor:
    """Stretch every map of one view to [0, 1] over its pixels.

    Normalising before the scales are selected (the paper does it after) makes the result
    independent of the selection, so it is computed once.

    Args:
        relevancy: [C, N_s, h, w] cosines between texts and pixel features.

    Returns:
        [C, N_s, h, w] in [0, 1]; a constant map becomes 0.
    """
    low = relevancy.amin(dim=(-2, -1), keepdim=True)
    high = relevancy.amax(dim=(-2, -1), keepdim=True)
    return (relevancy - low) / (high - low).clamp(min=1e-6)


def pixel_scores(
    features: WindowFeatures,
    view: int,
    ys: Tensor,
    xs: Tensor,
    text: Tensor,
    normalise: Literal["scene", "view"],
) -> Tensor:
    """Return the scores of labels at pixels of a view as [P, N_s, C] float16.

    Args:
        features: windows of the view, among others.
        view: photo index.
        ys: [P] int64 rows of the working image.
        xs: [P] int64 columns of the working image.
        text: [C, D] unit texts.
        normalise: `view` stretches every map of the view to [0, 1]. `scene` needs statistics of all
            views, which come later (see `calibration`): scores are cosines less their mean over the
            labels of the pixel, which no softmax sees; so near 0 half precision keeps more digits.
    """
    if normalise == "view":
        maps = normalise_relevancy(features.relevancy(view, text))
        return maps[:, :, ys, xs].permute(2, 1, 0).half().contiguous()
    cosines = features.cosines(torch.full_like(ys, view), ys, xs, text)
    return (cosines - cosines.mean(-1, keepdim=True)).half()
