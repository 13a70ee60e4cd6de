"""Units in which the losses measure, taken from the scene's own features.

Encoders differ in statistics that say nothing about a scene: a component that all features share
(the modality gap of CLIP), how far the cosines of labels lie apart (0.25 with one model, a few
hundredths with another), how alike any two DINO tokens are. The losses see features and cosines
after these have been taken out, so that one set of numbers serves all encoders:

- pixel features and texts lose what all of them share, F* - mean F* and T - mean T;
- logits are cosines divided by their standard deviation over the labels of a pixel (`spread`);
- RDA's target is softmax(sharpness (z - bias) / spread of z), where `bias` is a part of what a
  label scores where it is not;
- similarities of DINO tokens count in standard deviations from their mean.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ovs3d.distill.heads import center_texts
from ovs3d.features.window_features import WindowFeatures
from ovs3d.params import FdaParams, RelevancyParams

_SAMPLES = 1 << 16
"""Pixels, evenly spaced over all views, whose cosines are looked at."""
_SPREAD_PIXELS = 1 << 12
"""Pixels whose features are made to measure the spread; a feature costs more than a cosine."""
_ROUNDS = 5
"""A label's score in the background, and what is background, settle within these."""
_TINY = 1e-6


@dataclass(frozen=True, eq=False)
class ClipUnits:
    """Statistics of the CLIP features of a scene.

    Attributes:
        center: [D], subtracted from pixel features.
        text_center: [D], subtracted from unit texts, which are normalised again.
        spread: standard deviation of the cosines of a pixel, feature and texts centred, over the
            labels, mean over pixels and scales.
        bias: [N_s, C], subtracted from the relevancy.
        target_scale: what the rest is multiplied by: the sharpness over the spread of relevancy.
    """

    center: Tensor
    text_center: Tensor
    spread: float
    bias: Tensor
    target_scale: float

    def of_targets_only(self) -> "ClipUnits":
        """Return units that leave features, texts and logits as they are."""
        zeros = torch.zeros_like(self.center), torch.zeros_like(self.text_center)
        return ClipUnits(*zeros, 1.0, self.bias, self.target_scale)


@dataclass(frozen=True)
class TokenUnits:
    """Mean and standard deviation of the cosine of two DINO tokens of one patch."""

    mean: float
    std: float


def neutral_clip_units(text: Tensor, scales: int) -> ClipUnits:
    """Return the units in which everything stays as it is, for C texts [C, D] and N_s scales."""
    zero = torch.zeros_like(text[0])
    return ClipUnits(zero, zero, 1.0, text.new_zeros(scales, len(text)), 1.0)


def measure_clip_units(
    features: WindowFeatures, relevancy: Tensor, text: Tensor, params: RelevancyParams
) -> ClipUnits:
    """Measure the units of a scene.

    Args:
        features: windows of V training views.
        relevancy: [V, h, w, N_s, C] cosines of texts and pixel features, up to a number per pixel
            and scale.
        text: [C, D] unit texts on the features' device.
        params: share of the bias that is taken out, and the target's sharpness.
    """
    table = relevancy.flatten(0, 2)
    cosines = table[:: _stride(len(table), _SAMPLES)].to(text.device).float()
    sample = torch.arange(0, len(table), _stride(len(table), _SPREAD_PIXELS), device=text.device)
    pixels = features.height * features.width
    pixel_features = features.gather(
        torch.tensor(features.views, device=text.device)[sample // pixels],
        sample % pixels // features.width,
        sample % features.width,
    )
    center = pixel_features.mean((0, 1))
    # One label alone shares everything with itself.
    text_center = text.mean(0) if len(text) > 1 else torch.zeros_like(text[0])
    centered = functional.normalize(pixel_features - center, dim=-1)
    logits = centered @ center_texts(text, text_center).T
    scale, bias = params.sharpness, torch.zeros_like(cosines[0])
    if params.normalise == "scene":
        scale /= _spread(cosines)
        bias = params.bias * background_scores(cosines, scale)
    return ClipUnits(center, text_center, _spread(logits), bias, scale)


def background_scores(cosines: Tensor, sharpness: float) -> Tensor:
    """Return what each label scores where it is not, relative to the mean of the labels.

    Where a label is not is not known; softmax(sharpness (z - score)) says how likely, and the two
    are updated in turn.

    Args:
        cosines: [N, N_s, C].
        sharpness: inverse temperature of the softmax.

    Returns:
        [N_s, C]; its mean over the labels is 0.
    """
    scores = torch.zeros_like(cosines[0])
    for _ in range(_ROUNDS):
        absent = 1 - ((cosines - scores) * sharpness).softmax(-1)
        scores = (absent * cosines).sum(0) / absent.sum(0).clamp(min=_TINY)
        scores = scores - scores.mean(-1, keepdim=True)
    return scores


def measure_token_units(patches: Tensor) -> TokenUnits:
    """Measure the similarities of tokens.

    Args:
        patches: [P, n, E] L2-normalised tokens of P patches.
    """
    cosines = patches @ patches.transpose(1, 2)
    return TokenUnits(float(cosines.mean()), max(float(cosines.std()), _TINY))


def calibrate_fda(params: FdaParams, tokens: TokenUnits, spread: float) -> FdaParams:
    """Translate FDA's numbers from these units to cosines, for `fda_loss`."""
    return params.model_copy(
        update={
            "temperature": params.temperature * spread,
            "offset": tokens.mean + params.offset * tokens.std,
            "positive": params.positive / tokens.std,
            "negative": params.negative / tokens.std,
        }
    )


def _spread(cosines: Tensor) -> float:
    """Return the standard deviation over the labels of [N, N_s, C], mean over the rest."""
    correction = min(1, cosines.shape[-1] - 1)
    return max(float(cosines.std(-1, correction=correction).mean()), _TINY)


def _stride(count: int, samples: int) -> int:
    """Return an odd step: an even one would look at every other column of most pictures only."""
    return max(1, count // samples) | 1
