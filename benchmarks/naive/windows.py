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
) -> NDArray[Any]:
    """Return the feature of every pixel at one scale, [height, width, D].

    Args:
        embeddings: [M, D] of the windows of the scale.
        boxes: [M, 4] left, upper, right, lower.
        width, height: of the working image.
        dtype: of sums and result.
    """
    features = np.zeros((height, width, embeddings.shape[1]), dtype)
    count = np.zeros((height, width, 1), dtype)
    for embedding, (left, upper, right, lower) in zip(embeddings, boxes, strict=True):
        features[upper:lower, left:right] += embedding.astype(dtype)
        count[upper:lower, left:right] += 1
    return features / count
