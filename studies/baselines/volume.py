"""The points of stage lift, asked for the labels: what a user has before distillation."""

import torch

from ovs3d.language.lift import Lifter, LiftInputs
from ovs3d.language.views import point_view
from ovs3d.photos.dataset import NO_LABEL
from studies.case import Case, LabelMaps


@torch.no_grad()
def label_maps(case: Case) -> LabelMaps:
    """Lift, and give every pixel the label whose text fits its surface points best."""
    own = case.inputs
    inputs = LiftInputs(case.field, own.photos, own.cameras, own.train_views, own.clip)
    lifted = Lifter(inputs, case.params.stages.lift).run()
    scores = own.text @ lifted.codes.decode().mean(dim=1).T
    maps = {}
    for view in case.views:
        seen = point_view(lifted.surface, case.field, own.cameras, view, case.downscale)
        best = seen.draw(scores).argmax(dim=0).where(seen.solid, NO_LABEL)
        maps[view] = best.byte().cpu().numpy()
    return maps
