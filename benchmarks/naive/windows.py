"""Algorithm 1 written out, as slow and plain as the paper has it: the oracle of the tests too."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def dense_map(
    embeddings: NDArray[np.float16],
    boxes: NDArray[np.int16],
    width: int,
    height: int,
    dtype: DTypeLike = np.float64,
    deviation: float | None = None,
) -> NDArray[Any]:
    """Return the feature of every pixel at one scale, [height, width, D].

    Args:
        embeddings: [M, D] of the windows of the scale.
        boxes: [M, 4] left, upper, right, lower.
        width: of the working image in pixels.
        height: of the working image in pixels.
        dtype: of sums and result.
        deviation: of the Gaussian around the centre of a window that weights it, in pixels; None:
            the plain mean.
    """
    features = np.zeros((height, width, embeddings.shape[1]), dtype)
    count = np.zeros((height, width, 1), dtype)
    for embedding, (left, upper, right, lower) in zip(embeddings, boxes.astype(int), strict=True):
        weights = np.ones((lower - upper, right - left, 1), dtype)
        if deviation is not None:
            ys, xs = np.mgrid[upper:lower, left:right] + 0.5
            squared = (ys - (upper + lower) / 2) ** 2 + (xs - (left + right) / 2) ** 2
            weights *= np.exp(-squared / (2 * deviation**2))[..., None]
        features[upper:lower, left:right] += weights * embedding.astype(dtype)
        count[upper:lower, left:right] += weights
    return features / count
