"""Relevancy of labels at pixels, normalised per view, label and scale (Eq. 6-7)."""

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


def stack_relevancy(relevancy: Tensor) -> Tensor:
    """Normalise the maps [C, N_s, h, w] of one view for lookup by pixel: [h, w, N_s, C] float16."""
    return normalise_relevancy(relevancy).permute(2, 3, 1, 0).half().contiguous()
