"""Units in which the losses measure, taken from the scene's own features.

Encoders differ in statistics that say nothing about a scene: a component that all features share
(the modality gap of CLIP), how far the cosines of labels lie apart (0.25 with one model, a few
hundredths with another), how alike any two DINO tokens are. The losses see features and cosines
after these have been taken out, so that one set of parameters serves all encoders:

- pixel features and texts lose what all of them share, F* - mean F* and T - mean T;
- logits are cosines divided by their standard deviation over the labels of a pixel (`spread`);
- RDA's target is softmax over the labels of sharpness z / spread, with z the cosines of a pixel, a
  mean over the scales of windows; a scale weighs the more, the higher a label's peak is in it;
- similarities of DINO tokens count in standard deviations from their mean;
- FDA weighs in proportion to the share of pixels on which a view contradicts the mean of all views.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ovs3d.distill.heads import center_texts
from ovs3d.distill.params import FdaParams, RelevancyParams

_PEAK = 0.002
"""A label's peak is the score that so small a share of the pixels exceeds."""
_MOST_FDA = 10.0
"""Factor by which disagreement raises FDA's weights at most."""
_TINY = 1e-6


@dataclass(frozen=True, eq=False)
class ClipUnits:
    """Statistics of the CLIP features of a scene.

    Attributes:
        center: [D], subtracted from pixel features.
        text_center: [D], subtracted from unit texts, which are normalised again.
        spread: standard deviation of the cosines of a pixel, feature and texts centred, over the
            labels, mean over pixels and scales.
    """

    center: Tensor
    text_center: Tensor
    spread: float


@dataclass(frozen=True, eq=False)
class ScoreUnits:
    """How scores of labels become RDA's target.

    Attributes:
        factor: what they are multiplied by: the sharpness over the spread of the scores.
        scale_weights: [N_s, C], columns sum to 1: of the scales for each label; None where the
            Selection Volume weights them for each ray.
    """

    factor: float = 1.0
    scale_weights: Tensor | None = None

    def apply(self, scores: Tensor) -> Tensor:
        """Return what the softmax takes: x = factor scores as [B, N_s, C].

        If the scales have weights it is sum_s scale_weights_s x_s as [B, 1, C].
        """
        scaled = scores * self.factor
        if self.scale_weights is None:
            return scaled
        return (scaled * self.scale_weights).sum(1, keepdim=True)

    def best(self, scores: Tensor) -> Tensor:
        """Return the best label of scores [B, N_s, C], mean over the scales, as [B]."""
        return self.apply(scores).mean(1).argmax(-1)


@dataclass(frozen=True)
class TokenUnits:
    """Mean and standard deviation of the cosine of two DINO tokens of one patch."""

    mean: float
    std: float


def neutral_clip_units(text: Tensor) -> ClipUnits:
    """Return the units in which everything stays as it is, for texts [C, D]."""
    zero = torch.zeros_like(text[0])
    return ClipUnits(zero, zero, 1.0)


def measure_clip_units(pixel_features: Tensor, text: Tensor) -> ClipUnits:
    """Measure the units of a scene's features.

    Args:
        pixel_features: [n, N_s, D] of pixels of all training views.
        text: [C, D] unit texts.
    """
    center = pixel_features.mean((0, 1))
    # One label alone shares everything with itself.
    text_center = text.mean(0) if len(text) > 1 else torch.zeros_like(text[0])
    centered = functional.normalize(pixel_features - center, dim=-1)
    return ClipUnits(center, text_center, _spread(centered @ center_texts(text, text_center).T))


def measure_score_units(scores: Tensor, params: RelevancyParams) -> ScoreUnits:
    """Measure the units of a scene's scores.

    Args:
        scores: [n, N_s, C] of pixels of all training views; only differences between the labels of
            a pixel and scale mean anything.
        params: how they become a target.
    """
    spread = _spread(scores)
    factor = params.sharpness / (spread if params.normalise == "scene" else 1.0)
    if params.scale_sharpness is None:
        return ScoreUnits(factor)
    above_mean = scores - scores.mean(-1, keepdim=True)
    peaks = above_mean.topk(max(1, int(len(scores) * _PEAK)), dim=0).values[-1]
    return ScoreUnits(factor, (peaks * (params.scale_sharpness / spread)).softmax(0))


def measure_token_units(patches: Tensor) -> TokenUnits:
    """Measure the similarities of tokens.

    Args:
        patches: [P, n, E] L2-normalised tokens of P patches.
    """
    cosines = patches @ patches.transpose(1, 2)
    return TokenUnits(float(cosines.mean()), max(float(cosines.std()), _TINY))


def calibrate_fda(
    params: FdaParams, tokens: TokenUnits, spread: float, disagreement: float
) -> FdaParams:
    """Translate FDA's numbers from the units of a scene to cosines, for `fda_loss`.

    A pair of tokens with cosine x weighs (x - mean) / std - offset in these units; `fda_loss` takes
    (x - b) with b = mean + offset std, and weights that are divided by std.

    Args:
        params: in these units.
        tokens: of the scene.
        spread: of the logits.
        disagreement: share of the pixels on which views contradict the consensus. The more often
            they do, the less CLIP's labels are to be trusted and the more DINO's outlines.
    """
    factor = 1.0
    if params.disagreement is not None:
        factor = min(disagreement / params.disagreement, _MOST_FDA)
    return params.model_copy(
        update={
            "temperature": params.temperature * spread,
            "offset": tokens.mean + params.offset * tokens.std,
            "positive": factor * params.positive / tokens.std,
            "negative": factor * params.negative / tokens.std,
        }
    )


def _spread(cosines: Tensor) -> float:
    """Return the standard deviation over the labels of [N, N_s, C], mean over the rest."""
    correction = min(1, cosines.shape[-1] - 1)
    return max(float(cosines.std(-1, correction=correction).mean()), _TINY)


def evenly(count: int, samples: int, device: torch.device, usable: Tensor | None = None) -> Tensor:
    """Return about so many of `count` indices, int64, evenly spaced; of the usable ones, if told.

    The step is odd: an even one would look at every other column of most pictures only.
    """
    if usable is not None:
        return usable[evenly(len(usable), samples, device)]
    return torch.arange(0, count, max(1, count // samples) | 1, device=device)
