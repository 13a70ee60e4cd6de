"""RDA's target, from scores to what the softmax takes."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ovs3d.distill.params import RelevancyParams
from ovs3d.distill.targets import ScoredPixels, make_targets
from ovs3d.features.window_features import WindowFeatures
from ovs3d.features.windows import lattice, windows
from ovs3d.field.samples import RaySamples
from ovs3d.spill import Spill
from tests.distill.params import relevancy_params

SIDE, VIEWS = 24, (3, 5)
TEXT = torch.eye(2, 4)
PARAMS = relevancy_params(normalise="scene", sharpness=4.0, scale_sharpness=0.0)
IN_MEMORY = Spill(torch.device("cpu"), math.inf, Path())


def scored_pixels(edge: int, differ: bool = False) -> ScoredPixels:
    """Two views: windows whose middle lies left of column 12 show the first label, photos show
    their edge at column `edge`. If they differ, the second says the opposite of the first."""
    boxes = np.stack([windows(SIDE, SIDE, 3, 4, [view]) for view in VIEWS])
    middles = torch.from_numpy(boxes[..., [0, 2]].astype(np.float32)).mean(-1)
    embeddings = TEXT[(middles >= 12).long()].half()
    if differ:
        embeddings[1] = embeddings[1][..., [1, 0, 2, 3]]
    own = [lattice(SIDE, SIDE, 3, 4)]
    features = WindowFeatures(VIEWS, (SIDE, SIDE), own, embeddings, torch.from_numpy(boxes))
    ys, xs = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    colors = torch.zeros(len(VIEWS), SIDE, SIDE, 3, dtype=torch.uint8)
    colors[:, :, edge:] = torch.tensor([200, 120, 40], dtype=torch.uint8)
    rays = len(VIEWS) * SIDE * SIDE
    none = RaySamples(
        torch.zeros(rays + 1, dtype=torch.int64),
        torch.zeros(0, 3),
        torch.zeros(0),
        torch.zeros(rays),
        torch.zeros(rays),
    )
    return ScoredPixels(
        features, ys.flatten(), xs.flatten(), (SIDE, SIDE), 8.0, colors.view(-1, 3), none, (4, 4, 4)
    )


def best(pixels: ScoredPixels, params: RelevancyParams) -> torch.Tensor:
    targets = make_targets(pixels, TEXT, params, IN_MEMORY)
    assert targets.scores.dtype == torch.float16
    return targets.at(torch.arange(len(targets.scores)))[:, 0].argmax(-1).view(2, SIDE, SIDE)


def test_the_filter_draws_targets_to_the_photo() -> None:
    pixels = scored_pixels(edge=14)
    truth = (torch.arange(SIDE) >= 14).long().expand(2, SIDE, -1)
    plain = best(pixels, PARAMS)
    guided = best(pixels, PARAMS.model_copy(update={"guide_radius": 0.75}))
    assert (guided != truth).float().mean() < 0.5 * (plain != truth).float().mean()


def test_guided_scores_are_log_probabilities() -> None:
    params = PARAMS.model_copy(update={"guide_radius": 0.5})
    targets = make_targets(scored_pixels(edge=12), TEXT, params, IN_MEMORY)
    total = targets.at(torch.arange(0, 1000, 7)).exp().sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total), atol=5e-3, rtol=0)


def test_pixels_that_are_left_out_have_no_say_in_the_others() -> None:
    """Of two views that see the same, the second is left out, and says something else."""
    params = PARAMS.model_copy(update={"consensus": 0.1})
    area = SIDE * SIDE
    columns = torch.arange(2 * area) % SIDE
    points = torch.stack((columns / SIDE * 2 - 1, 0 * columns, 0 * columns), dim=1).float()
    ones, ends = torch.ones(2 * area), torch.arange(2 * area + 1)
    samples = RaySamples(ends, points, ones, ones, ones)

    def first_view(differ: bool, usable: torch.Tensor | None) -> torch.Tensor:
        pixels = replace(scored_pixels(12, differ), samples=samples, usable=usable)
        return make_targets(pixels, TEXT, params, IN_MEMORY).at(torch.arange(area))

    first = torch.arange(area)
    assert torch.equal(first_view(True, first), first_view(False, first))
    assert not torch.equal(first_view(True, None), first_view(False, None))
