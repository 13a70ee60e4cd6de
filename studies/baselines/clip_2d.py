"""CLIP in two dimensions: the windows of the scored photo itself label its pixels; no 3D at all.

It sees the photo that it labels, which no other row does.
"""

import torch

from ovs3d.distill.relevancy import normalise_relevancy
from ovs3d.space.cameras import pixel_centres
from studies.case import Case, LabelMaps


def label_maps(case: Case, scale: int | None = None, normalise: bool = False) -> LabelMaps:
    """Label every pixel with its best text.

    Args:
        case: to label.
        scale: one scale alone; the mean over all if None.
        normalise: stretch the cosines of every label to [0, 1] over the photo first.
    """
    inputs, store = case.inputs, case.inputs.clip
    photos = inputs.photos
    xy = pixel_centres(photos.width, photos.height, case.downscale).to(case.device)
    ys, xs = store.cells(xy)
    shape = (photos.height // case.downscale, photos.width // case.downscale)
    sigma = case.params.stages.distill.window_sigma
    windows = store.load(case.views, case.device, sigma=sigma)
    maps = {}
    for view in case.views:
        relevancy = windows.relevancy(view, inputs.text)  # [C, N_s, h, w]
        if normalise:
            relevancy = normalise_relevancy(relevancy)
        scores = relevancy.mean(dim=1) if scale is None else relevancy[:, scale]
        best = scores.argmax(dim=0)[ys, xs].view(shape)
        maps[view] = best.to(torch.uint8).cpu().numpy()
    return maps
