"""RDA's target: from what windows say of the pixels of single photos to one that views agree on.

Scores of single photos (`relevancy`) are mixed with the mean of all views (`consensus`), weighted
over the scales (`calibration.ScoreUnits`), and drawn to the outlines of the photo
(`guided_filter`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ovs3d.distill.calibration import ScoreUnits, evenly, measure_score_units
from ovs3d.distill.consensus import Consensus
from ovs3d.distill.guided_filter import guided_filter
from ovs3d.distill.params import RelevancyParams
from ovs3d.distill.relevancy import pixel_scores
from ovs3d.features.window_features import WindowFeatures
from ovs3d.field.samples import RaySamples
from ovs3d.progress import progress
from ovs3d.space.space import Grid
from ovs3d.spill import Drawn, Row, Spill, take

_SCORED_PIXELS = 1 << 16
"""Pixels, evenly spaced over all views, whose scores are looked at to learn their units."""
_LEAST_PROBABILITY = 1e-4
"""Of a label after the filter, which may give less than 0; the logarithm of this is finite, also in
half precision."""


@dataclass(frozen=True, eq=False)
class Targets:
    """Scores of the labels at R pixels.

    Attributes:
        scores: [R, N_s, C] float16; [R, 1, C] after the guided filter, which takes one map a label.
        units: of the scores.
        disagreement: share of the pixels whose best label in their own view is not that of the
            consensus; 0 where nobody asked.
    """

    scores: Tensor
    units: ScoreUnits
    disagreement: float

    def at(self, index: Tensor | Drawn) -> Tensor:
        """Return what the softmax takes at pixels int64 [B], as `ScoreUnits.apply` gives it."""
        return self.units.apply(take(self.scores, index).float())


@dataclass(frozen=True, eq=False)
class ScoredPixels:
    """Pixels of V views, the same h x w in each, row by row.

    Attributes:
        features: windows of the views.
        ys, xs: [h * w] int64 row and column in the working image of the windows.
        shape: (h, w).
        window: side of the smallest windows, in pixels of the h x w.
        colors: [V * h * w, 3] uint8.
        samples: of their rays.
        grid: of the field.
        usable: int64 pixels that photos do not leave out by their alpha; None if they leave out
            none. Others get targets, but have no say in those of the rest.
    """

    features: WindowFeatures
    ys: Tensor
    xs: Tensor
    shape: tuple[int, int]
    window: float
    colors: Tensor
    samples: RaySamples
    grid: Grid
    usable: Tensor | None = None


def make_targets(
    pixels: ScoredPixels, text: Tensor, params: RelevancyParams, spill: Spill
) -> Targets:
    """Score the pixels for the labels with these texts, unit vectors [C, D]."""
    (scores,) = spill.collect(_scores(pixels, text, params))
    disagreement = 0.0
    if params.consensus is not None:
        consensus = Consensus(pixels.samples, pixels.grid, scores, pixels.usable)
        disagreement = _agree(consensus, scores, params, pixels.usable)
    scored = evenly(len(scores), _SCORED_PIXELS, spill.device, pixels.usable)
    units = measure_score_units(take(scores, scored).float(), params)
    targets = Targets(scores, units, disagreement)
    if params.guide_radius is None:
        return targets
    (guided,) = spill.collect(_guided(targets, pixels, params))
    return Targets(guided, ScoreUnits(), disagreement)


def _scores(pixels: ScoredPixels, text: Tensor, params: RelevancyParams) -> Iterator[Row]:
    views = pixels.features.views
    with progress("relevancy", len(views), "views") as advance:
        for view in views:
            own = pixel_scores(pixels.features, view, pixels.ys, pixels.xs, text, params.normalise)
            yield (own,)
            advance()


def _agree(
    consensus: Consensus, scores: Tensor, params: RelevancyParams, usable: Tensor | None
) -> float:
    """Mix the consensus into scores, in place, the more the oftener views contradict it.

    Returns:
        `Targets.disagreement`.
    """
    scored = evenly(len(scores), _SCORED_PIXELS, consensus.device, usable)
    agreed = consensus.of(scored)
    units = measure_score_units(agreed, params)
    differs = units.best(take(scores, scored).float()) != units.best(agreed)
    disagreement = differs.float().mean().item()
    consensus.blend(scores, min(1.0, disagreement / (params.consensus or 1.0)))
    return disagreement


def _guided(targets: Targets, pixels: ScoredPixels, params: RelevancyParams) -> Iterator[Row]:
    """Filter the probabilities of labels by the photo; yield their logarithms, view after view."""
    device = pixels.samples.offsets.device
    radius = max(1, round((params.guide_radius or 0.0) * pixels.window))
    area = pixels.shape[0] * pixels.shape[1]
    for index in torch.split(torch.arange(len(targets.scores), device=device), area):
        maps = targets.at(index)[:, 0].softmax(-1).T.reshape(-1, *pixels.shape)
        photo = take(pixels.colors, index).T.reshape(-1, *pixels.shape).float() / 255
        maps = guided_filter(photo, maps, radius, params.guide_epsilon)
        maps = maps.clamp_min(_LEAST_PROBABILITY)
        yield ((maps / maps.sum(0)).log().flatten(1).T[:, None].half().contiguous(),)
