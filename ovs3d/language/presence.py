"""What tells that a text is in a scene: it fits a place better than absent things fit anywhere.

A cosine alone says little: some words come close to everything, some places to many words. So from
every cosine at a place, a share of the highest that a list of common nouns reaches there (its
rival) is subtracted. And each scene has a scale of its own: nouns that are the strongest almost
nowhere are taken to be absent, and a text is in it if it reaches higher than nearly all of these.
"""

from dataclasses import dataclass
from math import ceil, log

import torch
from torch import Tensor

RIVAL_SHARE = 0.7
"""Of the rival's cosine, which is subtracted. Chosen on development scenes, as `PEAK`."""
PEAK = 0.0015
"""Share of the points that are above what counts as the peak of a text; single points are noise."""
MASK, FOUND = 0.5, 0.95
"""A point fits a text, and a text is in the scene, if they are above the peaks of these shares of
the absent nouns."""
_NOUNS_PER_CHUNK = 32


@dataclass(frozen=True, eq=False)
class Calibration:
    """The scale of a scene.

    Attributes:
        rival: float32 [N], cosine of the strongest noun at each point.
        ordinary: peak that `MASK` of the absent nouns do not reach.
        rare: peak that `FOUND` of the absent nouns do not reach.
    """

    rival: Tensor
    ordinary: float
    rare: float

    def relevancy(self, cosines: Tensor, negatives: Tensor) -> Tensor:
        """Return how well texts fit, float32 [T, N] in [0, 1].

        It is `MASK` where a text fits as well as an ordinary absent noun fits where it fits best,
        `FOUND` where it fits as well as but a few do, and at most 0.5 where a negative fits better.

        Args:
            cosines: [T, N] of the texts.
            negatives: [n, N] of what the texts are not.
        """
        fit = (cosines - RIVAL_SHARE * self.rival - self.ordinary) * self._slope
        for negative in negatives:
            fit = torch.minimum(fit, (cosines - negative) * self._slope)
        return torch.sigmoid(fit)

    @property
    def _slope(self) -> float:
        """Factor that brings `rare` to where a sigmoid is `FOUND`."""
        return log(FOUND / (1 - FOUND)) / max(self.rare - self.ordinary, 1e-6)


def calibrate(features: Tensor, nouns: Tensor) -> Calibration:
    """Measure the scale of a scene.

    Args:
        features: [N, K], whose inner products with texts are cosines.
        nouns: [n, K] texts.
    """
    chunks = torch.split(nouns, _NOUNS_PER_CHUNK)
    rival = torch.full_like(features[:, 0], -1.0)
    for chunk in chunks:
        rival = torch.maximum(rival, (features @ chunk.T).amax(1))
    wins, peaks = [], []
    for chunk in chunks:
        cosines = chunk @ features.T
        wins.append((cosines >= rival).sum(1))
        peaks.append(peak(cosines - RIVAL_SHARE * rival))
    absent = torch.cat(wins) < peak_points(len(features))
    # Where every noun is somewhere the strongest, the scene has no absent ones to tell.
    known = torch.cat(peaks)[absent] if absent.any() else torch.cat(peaks)
    ordinary, rare = known.quantile(known.new_tensor([MASK, FOUND])).tolist()
    return Calibration(rival, ordinary, rare)


def peak(values: Tensor) -> Tensor:
    """Return the value [T] that but a few of the points [T, N] exceed."""
    return values.topk(peak_points(values.shape[1]), dim=1).values[:, -1]


def peak_points(count: int) -> int:
    """Return how many of so many points make a peak."""
    return max(1, ceil(count * PEAK))
