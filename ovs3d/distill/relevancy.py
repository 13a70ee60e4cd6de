"""Relevancy of labels at pixels: what RDA's target is made of (Eq. 6-7)."""

from typing import Literal

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


def stack_relevancy(relevancy: Tensor, normalise: Literal["scene", "view"]) -> Tensor:
    """Prepare the maps [C, N_s, h, w] of one view for lookup by pixel: [h, w, N_s, C] float16.

    Args:
        relevancy: cosines between texts and pixel features.
        normalise: `view` stretches every map to [0, 1]; for `scene`, where statistics of all views
            are needed (see `calibration`), a pixel only loses the mean of its labels, which no
            softmax sees, but half precision does.
    """
    view = normalise == "view"
    maps = normalise_relevancy(relevancy) if view else relevancy - relevancy.mean(0)
    return maps.permute(2, 3, 1, 0).half().contiguous()
