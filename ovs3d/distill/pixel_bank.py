"""Pixels of the training views, and what they are trained on, computed once for all iterations."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ovs3d.distill.baked_rays import BakedRays, bake_rays
from ovs3d.distill.calibration import ClipUnits, evenly, measure_clip_units, neutral_clip_units
from ovs3d.distill.inputs import DistillInputs
from ovs3d.distill.params import DistillParams
from ovs3d.distill.targets import ScoredPixels, Targets, make_targets
from ovs3d.errors import StoreError
from ovs3d.features.store import FeatureStore
from ovs3d.features.window_features import WindowFeatures
from ovs3d.field.model import Field
from ovs3d.photos.dataset import Photos, load_photo, usable_pixels
from ovs3d.space.cameras import pixel_centres
from ovs3d.spill import Drawn, take

_SPREAD_PIXELS = 1 << 12
"""Pixels whose features are made to measure their units; a feature costs more than a score."""


@dataclass(frozen=True, eq=False)
class PixelBank:
    """Training pixels: P in each of V views, row by row; pixel number `v * P + p`.

    Attributes:
        rays: of the pixels.
        colors: [V * P, 3] uint8.
        views: [V] int64 photo indices.
        ys: [P] int64 row in the CLIP working image.
        xs: [P] int64 column in the CLIP working image.
        features: windows of the views.
        targets: of RDA.
        units: of the features.
        usable: [U] int64 on the CPU, numbers of the pixels that photos do not leave out by alpha;
            None if they leave out none.
    """

    rays: BakedRays
    colors: Tensor
    views: Tensor
    ys: Tensor
    xs: Tensor
    features: WindowFeatures
    targets: Targets
    units: ClipUnits
    usable: Tensor | None = None

    def __len__(self) -> int:
        return len(self.colors)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw pixels to train on, int64 [count], with a generator of the CPU."""
        most = len(self) if self.usable is None else len(self.usable)
        drawn = torch.randint(most, (count,), generator=generator)
        return drawn if self.usable is None else self.usable[drawn]

    def colors_of(self, drawn: Drawn) -> Tensor:
        """Return the colours of B pixels in the photos, [B, 3] in [0, 1]."""
        return take(self.colors, drawn).float() / 255

    def features_of(self, drawn: Drawn) -> Tensor:
        """Return the features of B pixels less what all share (`ClipUnits.center`): [B, N_s, D]."""
        found = _gather(self.features, self.views, self.ys, self.xs, drawn.there)
        return found - self.units.center


def make_pixel_bank(
    field: Field, inputs: DistillInputs, views: tuple[int, ...], params: DistillParams
) -> PixelBank:
    """Bake the pixels of some views at photo / `downscale` and their relevancy.

    Args:
        field: the reconstruction.
        inputs: scene, stores and texts.
        views: photo indices.
        params: `downscale`, `mass_kept`, `window_sigma`, `units` and `relevancy` matter here.

    Raises:
        StoreError: the feature store was made for photos of another size.
    """
    photos, store, spill = inputs.photos, inputs.clip, inputs.spill
    _check_size(store, photos)
    xy = pixel_centres(photos.width, photos.height, params.downscale).to(spill.device)
    (colors,) = spill.collect(
        (load_photo(photos.paths[view], params.downscale).view(-1, 3),) for view in views
    )
    features = store.load(views, spill.device, spill, params.window_sigma)
    ys, xs = store.cells(xy)
    rays = bake_rays(field, inputs.cameras, views, xy, params.mass_kept, "pixels", spill)
    usable = usable_pixels(photos, views, params.downscale, spill.device)
    shape = (photos.height // params.downscale, photos.width // params.downscale)
    window = min(shape) / max(store.attributes["window_divisors"])
    grid = field.config.grid
    scored = ScoredPixels(features, ys, xs, shape, window, colors, rays.samples, grid, usable)
    targets = make_targets(scored, inputs.text, params.relevancy, spill)
    indices = torch.tensor(views, device=spill.device)
    units = neutral_clip_units(inputs.text)
    if params.units == "scene":
        sampled = evenly(len(colors), _SPREAD_PIXELS, spill.device, usable)
        units = measure_clip_units(_gather(features, indices, ys, xs, sampled), inputs.text)
    on_host = None if usable is None else usable.cpu()
    return PixelBank(rays, colors, indices, ys, xs, features, targets, units, on_host)


def _gather(
    features: WindowFeatures, views: Tensor, ys: Tensor, xs: Tensor, index: Tensor
) -> Tensor:
    """Return the features [B, N_s, D] of pixels int64 [B], numbered as in a `PixelBank`."""
    row = torch.div(index, len(ys), rounding_mode="floor")
    pixel = index - row * len(ys)
    return features.gather(views[row], ys[pixel], xs[pixel])


def _check_size(store: FeatureStore, photos: Photos) -> None:
    expected = (photos.width // store.downscale, photos.height // store.downscale)
    if (store.width, store.height) != expected:
        raise StoreError(
            f"{store.path}: holds working images of {store.width} x {store.height}, but the photos "
            f"give {expected[0]} x {expected[1]}; run stage clip_features again"
        )
