"""How sure a segmentation is of its labels, as probabilities."""

import numpy as np
from numpy.typing import NDArray

_TEMPERATURE = 0.4
"""Of the softmax, in spreads of the logits: on the demo scene probabilities are then off by 0.005
in the mean from how often the label is right (ECE); with 0.3 by 0.013, with 0.5 by 0.023."""
_TINY = 1e-6


def spread_of(logits: NDArray[np.float32]) -> float:
    """Return the standard deviation over the labels of logits [N, C], mean over the rest.

    Cosines of one encoder lie ten times as far apart as those of another; this is their unit.
    """
    if not len(logits):
        return 1.0
    return max(float(logits.std(axis=-1, ddof=min(1, logits.shape[-1] - 1)).mean()), _TINY)


def probabilities(logits: NDArray[np.float32], spread: float) -> NDArray[np.float32]:
    """Turn logits [..., C] into probabilities of the labels, which sum to 1.

    Args:
        logits: cosines.
        spread: of the scene, see `spread_of`.
    """
    scaled = (logits - logits.max(axis=-1, keepdims=True)) / (_TEMPERATURE * spread)
    powers = np.exp(scaled)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)
