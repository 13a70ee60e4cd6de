"""Semantic-NeRF (Zhi et al. 2021): trained on the true label maps of all training views."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ovs3d.device import make_generator
from studies.baselines.training import HeadedVolume, bake, best_labels, fit, render_views
from studies.case import Case, LabelMaps

_IGNORED = -100
"""What cross-entropy leaves out."""


def label_maps(case: Case) -> LabelMaps:
    """Train a class head on the truth and render it."""
    rays, count = bake(case), len(case.inputs.labels)
    x, y = rays.xy.long().cpu().unbind(dim=1)
    maps = [case.scene.label_map(view)[y, x] for view in rays.views.tolist()]
    truth = torch.cat([torch.from_numpy(np.ascontiguousarray(part)).long() for part in maps])
    truth = torch.where((truth >= 1) & (truth <= count), truth - 1, _IGNORED).to(case.device)
    generator = make_generator(case.params.seed, case.device)
    model = HeadedVolume(case.field, {"classes": count}, generator)

    def loss(outputs: dict[str, Tensor], drawn: Tensor) -> Tensor:
        return cross_entropy(outputs["classes"], truth[drawn], ignore_index=_IGNORED)

    fit(model, rays, loss, case.params.stages.distill, generator)
    rendered = render_views(case, lambda samples: model(samples)["classes"])
    return {view: best_labels(case, *maps) for view, *maps in rendered}
