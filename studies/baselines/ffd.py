"""Feature field distillation (Kobayashi et al. 2022): one scale of CLIP, and DINO beside it.

Both are linear outputs of the same volume; DINO acts through the volume alone.
"""

from torch import Tensor
from torch.nn.functional import cosine_similarity

from ovs3d.device import make_generator
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


def label_maps(case: Case) -> LabelMaps:
    """Distil one scale and the tokens, and take the text with the best cosine."""
    rays = bake(case)
    clip, dino = ClipTargets(case, rays), DinoTargets(case, rays)
    text, scale = case.inputs.text, case.inputs.clip.scales // 2
    generator = make_generator(case.params.seed, case.device)
    heads = {"clip": text.shape[1], "dino": dino.dim}
    model = HeadedVolume(case.field, heads, generator)

    def loss(outputs: dict[str, Tensor], drawn: Tensor) -> Tensor:
        what = cosine_similarity(outputs["clip"], clip.at(drawn)[:, scale], dim=1)
        where = cosine_similarity(outputs["dino"], dino.at(drawn), dim=1)
        return -(what.mean() + where.mean())

    fit(model, rays, loss, case.params.stages.distill, generator)
    # The length of the rendered feature does not change which text is best.
    rendered = render_views(case, lambda samples: model(samples)["clip"] @ text.T)
    return {view: best_labels(case, *maps) for view, *maps in rendered}
