"""What baselines that train share: rays of the training views, heads on a volume, the loop."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from ovs3d.device import adam
from ovs3d.distill.baked_rays import bake_rays
from ovs3d.distill.params import DistillParams
from ovs3d.features.window_features import WindowFeatures
from ovs3d.field.march import march
from ovs3d.field.model import Field, make_linear
from ovs3d.field.render import MIN_OPACITY
from ovs3d.field.samples import RaySamples, composite
from ovs3d.photos.dataset import NO_LABEL
from ovs3d.progress import progress
from ovs3d.space.cameras import pixel_centres
from studies.case import Case

_LEAST_WEIGHT = 1e-4
"""Of a sample to be rendered, as in `Segmentation.render`."""
_RAYS_PER_CHUNK = 1 << 13


@dataclass(frozen=True, eq=False)
class TrainingRays:
    """Rays of the training pixels at photo / `distill.downscale`, view after view.

    Attributes:
        samples: baked, as for distillation.
        views: [V] photo indices.
        xy: [P, 2] photo pixels, the same for every view.
    """

    samples: RaySamples
    views: Tensor
    xy: Tensor

    def __len__(self) -> int:
        return len(self.views) * len(self.xy)

    def pixels(self, rays: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows in `views` and in `xy`, both int64 [B], of rays int64 [B]."""
        row = torch.div(rays, len(self.xy), rounding_mode="floor")
        return row, rays - row * len(self.xy)


def bake(case: Case) -> TrainingRays:
    """Bake the rays of all training views with features."""
    inputs, views = case.inputs, case.inputs.pixel_views()
    photos, own = inputs.photos, case.params.stages.distill
    xy = pixel_centres(photos.width, photos.height, own.downscale).to(case.device)
    baked = bake_rays(case.field, inputs.cameras, views, xy, own.mass_kept, "pixels", inputs.spill)
    return TrainingRays(baked.samples, torch.tensor(views, device=case.device), xy)


class ClipTargets:
    """CLIP features of training pixels."""

    def __init__(self, case: Case, rays: TrainingRays) -> None:
        store = case.inputs.clip
        self._rays = rays
        sigma = case.params.stages.distill.window_sigma
        self._windows: WindowFeatures = store.load(rays.views.tolist(), case.device, sigma=sigma)
        self._ys, self._xs = store.cells(rays.xy)

    def at(self, rays: Tensor) -> Tensor:
        """Return unit features [B, N_s, D] of rays int64 [B]."""
        row, pixel = self._rays.pixels(rays)
        found = self._windows.gather(self._rays.views[row], self._ys[pixel], self._xs[pixel])
        return normalize(found, dim=-1)


class DinoTargets:
    """DINO tokens of training pixels."""

    def __init__(self, case: Case, rays: TrainingRays) -> None:
        store = case.inputs.dino
        height, width = store.grid
        self._rays = rays
        tokens = store.load(rays.views.tolist(), case.device)
        self._tokens = tokens.flatten(1, 2)  # [V, h * w, E]
        cell = (rays.xy / (store.patch * store.downscale)).long()
        self._index = cell[:, 1].clamp(max=height - 1) * width + cell[:, 0].clamp(max=width - 1)

    @property
    def dim(self) -> int:
        """Length of a token."""
        return self._tokens.shape[-1]

    def at(self, rays: Tensor) -> Tensor:
        """Return unit tokens [B, E] of rays int64 [B]."""
        row, pixel = self._rays.pixels(rays)
        return normalize(self._tokens[row, self._index[pixel]].float(), dim=-1)


class HeadedVolume(nn.Module):
    """Linear heads on a volume that begins as a copy of the field's appearance volume."""

    def __init__(self, field: Field, heads: Mapping[str, int], generator: torch.Generator) -> None:
        """Create the heads.

        Args:
            field: whose appearance is copied.
            heads: name -> length of what it gives.
            generator: source of the initial weights.
        """
        super().__init__()
        self.volume = copy.deepcopy(field.appearance)
        channels = self.volume.channels + 1
        self.heads = nn.ModuleDict(
            {name: make_linear(channels, size, False, generator) for name, size in heads.items()}
        )

    def forward(self, samples: RaySamples) -> dict[str, Tensor]:
        """Return what every head gives for rays: [R, its length]."""
        values = self.volume.features(samples.points)
        # The sum of weights comes last, so that a head has a bias.
        values = torch.cat((values, torch.ones_like(values[:, :1])), dim=1)
        rendered = composite(values, samples.weights, samples.offsets)
        return {name: head(rendered) for name, head in self.heads.items()}


def fit(
    model: HeadedVolume,
    rays: TrainingRays,
    loss: Callable[[dict[str, Tensor], Tensor], Tensor],
    params: DistillParams,
    generator: torch.Generator,
) -> None:
    """Train volume and heads with the iterations, rays and learning rates of the method.

    Args:
        model: to train.
        rays: to draw from.
        loss: gets what the heads give for rays, and these rays int64 [B].
        params: section `distill`.
        generator: draws the rays.
    """
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    groups = ((model.volume, params.lr_volumes), (model.heads, params.lr_heads))
    optimizer = adam({"params": list(module.parameters()), "lr": lr} for module, lr in groups)
    with progress("baseline", params.iterations, "iterations") as advance:
        for _ in range(params.iterations):
            drawn = torch.randint(
                len(rays), (params.batch,), generator=generator, device=generator.device
            )
            optimizer.zero_grad(set_to_none=True)
            loss(model(rays.samples.select(drawn)), drawn).backward()
            optimizer.step()
            for group in optimizer.param_groups:
                group["lr"] *= params.lr_decay ** (1 / params.iterations)
            advance()


@torch.no_grad()
def render_views(
    case: Case, render: Callable[[RaySamples], Tensor]
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Render the views to label: index, what `render` gives [h * w, ...], and opacity [h * w]."""
    cameras = case.inputs.cameras
    xy = pixel_centres(cameras.width, cameras.height, case.downscale).to(case.device)
    for view in case.views:
        origins, directions = cameras.rays(view, xy)
        parts, opacities = [], []
        for chunk in zip(
            torch.split(origins, _RAYS_PER_CHUNK),
            torch.split(directions, _RAYS_PER_CHUNK),
            strict=True,
        ):
            samples = march(case.field, *chunk, _LEAST_WEIGHT)
            parts.append(render(samples))
            opacities.append(samples.opacity)
        yield view, torch.cat(parts), torch.cat(opacities)


def best_labels(case: Case, scores: Tensor, opacity: Tensor) -> NDArray[np.uint8]:
    """Return the label with the best score as [h, w].

    Args:
        case: whose pixels these are.
        scores: [h * w, C].
        opacity: [h * w]; what stage evaluate leaves unlabelled is so here too.
    """
    photos, downscale = case.inputs.photos, case.downscale
    labelled = torch.where(opacity < MIN_OPACITY, NO_LABEL, scores.argmax(dim=1))
    best = labelled.to(torch.uint8).cpu().numpy()
    return best.reshape(photos.height // downscale, photos.width // downscale)
