"""Relevancy of labels at pixels, normalised per view, label and scale (Eq. 6-7)."""

from collections.abc import Mapping

import torch
from torch import Tensor


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


def stack_relevancy(maps: Mapping[int, Tensor], views: tuple[int, ...]) -> Tensor:
    """Stack normalised maps of `views` for lookup: [V, h, w, N_s, C] float16."""
    stacked = [normalise_relevancy(maps[view]).permute(2, 3, 1, 0).half() for view in views]
    return torch.stack(stacked).contiguous()
