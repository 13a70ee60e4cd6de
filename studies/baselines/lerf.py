"""LERF (Kerr et al. 2023) on our windows: a CLIP field per scale, relevancy against common words.

DINO is a further output of the volume, as LERF regularises with it.
"""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from ovs3d.device import make_generator
from ovs3d.field.samples import RaySamples
from studies.baselines.training import (
    ClipTargets,
    DinoTargets,
    HeadedVolume,
    bake,
    best_labels,
    fit,
    render_views,
)
from studies.case import Case, LabelMaps

NEGATIVES = ("object", "things", "stuff", "texture")
"""LERF's canonical phrases."""
_SHARPNESS = 10.0
"""Of the softmax over a pair of cosines (LERF's code)."""


def label_maps(case: Case) -> LabelMaps:
    """Distil all scales, and take for each label the scale at which it is most relevant."""
    rays = bake(case)
    clip, dino = ClipTargets(case, rays), DinoTargets(case, rays)
    text, negatives, scales = case.inputs.text, case.encode(NEGATIVES), case.inputs.clip.scales
    generator = make_generator(case.params.seed, case.device)
    heads = {"clip": scales * text.shape[1], "dino": dino.dim}
    model = HeadedVolume(case.field, heads, generator)

    def loss(outputs: dict[str, Tensor], drawn: Tensor) -> Tensor:
        features = outputs["clip"].view(-1, scales, text.shape[1])
        what = cosine_similarity(features, clip.at(drawn), dim=2)
        where = cosine_similarity(outputs["dino"], dino.at(drawn), dim=1)
        return -(what.mean() + where.mean())

    def render(samples: RaySamples) -> Tensor:
        features = model(samples)["clip"].view(-1, scales, text.shape[1])
        return relevancy(normalize(features, dim=2), text, negatives)

    fit(model, rays, loss, case.params.stages.distill, generator)
    return {
        view: best_labels(case, choose_scales(scores), opacity)
        for view, scores, opacity in render_views(case, render)
    }


def relevancy(features: Tensor, text: Tensor, negatives: Tensor) -> Tensor:
    """Return how much rather a label than any common word fits.

    Args:
        features: [R, N_s, D] unit vectors.
        text: [C, D] unit vectors.
        negatives: [n, D] unit vectors.

    Returns:
        [R, N_s, C] in [0, 1]: the least of the label's shares in the softmax over itself and one
        of the words.
    """
    margin = features @ text.T - (features @ negatives.T).amax(dim=2, keepdim=True)
    # The least share is that beside the word that fits best.
    return torch.sigmoid(_SHARPNESS * margin)


def choose_scales(scores: Tensor) -> Tensor:
    """Keep for each label the scale of its maximum over a view: [R, N_s, C] to [R, C]."""
    best = scores.amax(dim=0).argmax(dim=0)
    return scores[:, best, torch.arange(len(best), device=best.device)]
