"""What distillation reads in every iteration, computed once because density never moves.

The samples that a ray keeps and their weights are baked for the rays of all training pixels and of
all DINO tokens, so no iteration marches a ray or runs an encoder.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from ovs3d.distill.calibration import (
    ClipUnits,
    TokenUnits,
    evenly,
    measure_clip_units,
    measure_token_units,
    neutral_clip_units,
)
from ovs3d.distill.params import DistillParams
from ovs3d.distill.targets import ScoredPixels, Targets, make_targets
from ovs3d.errors import SceneError, StoreError
from ovs3d.features.store import FeatureStore
from ovs3d.features.token_store import TokenStore
from ovs3d.features.window_features import WindowFeatures
from ovs3d.field.march import march
from ovs3d.field.model import Field
from ovs3d.field.samples import RaySamples, composite
from ovs3d.photos.dataset import Photos, load_photo, load_seen, usable_pixels
from ovs3d.progress import progress
from ovs3d.space.cameras import Cameras, pixel_centres
from ovs3d.spill import Drawn, Row, Spill, take

_SPREAD_PIXELS = 1 << 12
"""Pixels whose features are made to measure their units; a feature costs more than a score."""
_UNIT_PATCHES = 64
"""Patches whose tokens are compared to learn how alike tokens are."""


@dataclass(frozen=True, eq=False)
class DistillInputs:
    """Everything that is known about a scene before distillation."""

    photos: Photos
    cameras: Cameras
    train_views: tuple[int, ...]
    clip: FeatureStore
    dino: TokenStore
    labels: tuple[str, ...]
    text: Tensor
    """[C, D] unit text features, on the device to train on."""
    spill: Spill
    """Takes what is read in every iteration; its device is that of the texts."""

    def pixel_views(self) -> tuple[int, ...]:
        """Return the training views that have a pose and CLIP features.

        Raises:
            SceneError: there is none.
        """
        return self._usable(self.clip, "CLIP features; raise clip_features.views or")

    def token_views(self) -> tuple[int, ...]:
        """Return the training views that have a pose and DINO tokens.

        Raises:
            SceneError: there is none.
        """
        return self._usable(self.dino, "DINO tokens;")

    def rows(self) -> dict[str, object]:
        """Return what the closing table of the stage says about them."""
        return {
            "training views with CLIP features": len(self.pixel_views()),
            "training views with DINO tokens": len(self.token_views()),
            "labels": len(self.labels),
        }

    def _usable(self, store: FeatureStore | TokenStore, lacking: str) -> tuple[int, ...]:
        usable = set(self.cameras.views) & set(store.views)
        views = tuple(view for view in self.train_views if view in usable)
        if not views:
            raise SceneError(
                f"no training view has a pose and {lacking} list fewer val_views or test_views"
            )
        return views


@dataclass(frozen=True, eq=False)
class BakedRays:
    """Rays of several views, every view with the same number, view after view.

    Attributes:
        samples: kept samples of all rays.
        directions: [V * P, 3] world.
        dropped: share of a ray's weight that is not baked, mean of the rays that have any.
    """

    samples: RaySamples
    directions: Tensor
    dropped: float

    @cached_property
    def _offsets(self) -> Tensor:
        """Of the samples, on the CPU."""
        return self.samples.offsets.cpu()

    def select(self, rays: Drawn) -> RaySamples:
        """Return the samples of rays that the host knows, without waiting for the device."""
        total = int((self._offsets[rays.here + 1] - self._offsets[rays.here]).sum())
        if self.samples.points.device == rays.there.device:
            return self.samples.select(rays.there, total)
        spilled = replace(self.samples, offsets=self._offsets)
        return spilled.select(rays.here, total).to(rays.there.device)


@dataclass(frozen=True, eq=False)
class PixelBank:
    """Training pixels of V views: their rays, colours and position in the feature store.

    Attributes:
        rays: of the pixels, row by row.
        colors: [V * P, 3] uint8.
        views: [V] int64 photo indices.
        ys: [P] int64 row in the CLIP working image.
        xs: [P] int64 column in the CLIP working image.
        features: windows of the views.
        targets: of RDA.
        units: of the features.
        usable: [R] int64 on the CPU, pixels that photos do not leave out; None if there are no
            others.
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

    def features_of(self, drawn: Drawn) -> tuple[Tensor, Tensor]:
        """Return what B pixels are trained on.

        Returns:
            [B, N_s, D] centred features, and what `Targets.at` returns.
        """
        index = drawn.there
        row = torch.div(index, len(self.ys), rounding_mode="floor")
        pixel = index - row * len(self.ys)
        features = self.features.gather(self.views[row], self.ys[pixel], self.xs[pixel])
        return features - self.units.center, self.targets.at(drawn)


@dataclass(frozen=True, eq=False)
class TokenBank:
    """DINO tokens of V views and the rays through their centres.

    Attributes:
        rays: of the token centres, row by row.
        tokens: [V, h, w, E] float16, L2-normalised.
        stand_ins: [V * h * w] int64 on the CPU, for each token itself, or the nearest one of its
            view whose pixel the photo does not leave out; None if there are no others.
    """

    rays: BakedRays
    tokens: Tensor
    stand_ins: Tensor | None = None

    def patch_index(self, count: int, side: int, generator: torch.Generator) -> Tensor:
        """Draw square patches of tokens: ray numbers int64 [count, side * side], on the CPU."""
        views, height, width, _ = self.tokens.shape
        side_y, side_x = min(side, height), min(side, width)

        def draw(high: int) -> Tensor:
            return torch.randint(high, (count, 1), generator=generator, device=generator.device)

        corner = draw(views) * height + draw(height - side_y + 1)
        left = draw(width - side_x + 1)
        rows = torch.arange(side_y, device=left.device)
        columns = torch.arange(side_x, device=left.device)
        grid = (corner[:, :, None] + rows[:, None]) * width + left[:, :, None] + columns
        patches = grid.flatten(1)
        return patches if self.stand_ins is None else self.stand_ins[patches]

    def measure(self, side: int, generator: torch.Generator) -> TokenUnits:
        """Measure the similarities of tokens in patches of this side."""
        index = self.patch_index(_UNIT_PATCHES, side, generator)
        drawn = Drawn.on(self.rays.samples.offsets.device, index.flatten())
        patches = take(self.tokens.flatten(0, 2), drawn).float()
        return measure_token_units(patches.view(*index.shape, -1))


def bake_rays(
    field: Field,
    cameras: Cameras,
    views: tuple[int, ...],
    xy: Tensor,
    mass_kept: float,
    what: str,
    spill: Spill,
) -> BakedRays:
    """March rays of several views through the frozen density and keep what matters.

    The weights that are kept stay as they are, so that a pixel is the same here and in a picture,
    up to what is dropped; cosines do not see its length anyway.

    Args:
        field: the reconstruction.
        cameras: of the scene.
        views: photo indices.
        xy: [P, 2] photo pixel coordinates, the same for every view, on the field's device.
        mass_kept: of each ray the fewest samples are kept that hold this share of its weight.
        what: name of the rays, for the progress bar.
        spill: takes what is baked.
    """
    counts, dropped = [], []

    def bake() -> Iterator[Row]:
        with progress(f"bake {what}", len(views), "views") as advance:
            for view in views:
                origin, direction = cameras.rays(view, xy)
                part = march(field, origin, direction, 0.0, mass_kept)
                counts.append(part.offsets.diff())
                dropped.append(_dropped(part))
                yield part.points, part.weights, part.depth, part.opacity, direction
                advance()

    points, weights, depth, opacity, directions = spill.collect(bake())
    offsets = functional.pad(torch.cat(counts).cumsum(dim=0), (1, 0))
    samples = RaySamples(offsets, points, weights, depth, opacity)
    # No ray may have any weight.
    share = torch.cat(dropped).mean().nan_to_num().item()
    return BakedRays(samples, directions, share)


def _dropped(samples: RaySamples) -> Tensor:
    """Return the share of their weight that rays lack, of those that have any."""
    ones = torch.ones_like(samples.weights)[:, None]
    kept = composite(ones, samples.weights, samples.offsets)[:, 0]
    hit = samples.opacity > 0
    return 1 - kept[hit] / samples.opacity[hit]


def make_pixel_bank(
    field: Field,
    inputs: DistillInputs,
    views: tuple[int, ...],
    params: DistillParams,
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
    units = neutral_clip_units(inputs.text)
    if params.units == "scene":
        sampled = evenly(len(views) * len(xy), _SPREAD_PIXELS, spill.device, usable)
        row, pixel = sampled // len(xy), sampled % len(xy)
        shown = torch.tensor(views, device=spill.device)[row]
        units = measure_clip_units(features.gather(shown, ys[pixel], xs[pixel]), inputs.text)
    return PixelBank(
        rays=rays,
        colors=colors,
        views=torch.tensor(views, device=spill.device),
        ys=ys,
        xs=xs,
        features=features,
        targets=targets,
        units=units,
        usable=None if usable is None else usable.cpu(),
    )


def _check_size(store: FeatureStore, photos: Photos) -> None:
    expected = (photos.width // store.downscale, photos.height // store.downscale)
    if (store.width, store.height) != expected:
        raise StoreError(
            f"{store.path}: holds working images of {store.width} x {store.height}, but the photos "
            f"give {expected[0]} x {expected[1]}; run stage clip_features again"
        )


def make_token_bank(
    field: Field, inputs: DistillInputs, views: tuple[int, ...], mass_kept: float
) -> TokenBank:
    """Bake the rays through the token centres of some views.

    Raises:
        StoreError: the token store was made for photos of another size.
    """
    photos, store = inputs.photos, inputs.dino
    spill, device = inputs.spill, inputs.spill.device
    height, width = store.grid
    expected = [
        int(side / store.downscale) // store.patch for side in (photos.height, photos.width)
    ]
    if [height, width] != expected:
        raise StoreError(
            f"{store.path}: holds {width} x {height} tokens of a view, but the photos give "
            f"{expected[1]} x {expected[0]}; run stage dino_features again"
        )
    step = store.patch * store.downscale
    ys, xs = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    xy = (torch.stack((xs, ys), dim=-1).view(-1, 2) + 0.5) * step
    loaded = (store.load([view], device).float() for view in views)
    (tokens,) = spill.collect((functional.normalize(part, dim=-1).half(),) for part in loaded)
    rays = bake_rays(field, inputs.cameras, views, xy.float(), mass_kept, "tokens", spill)
    return TokenBank(rays, tokens, _stand_ins(photos, views, xy))


def _stand_ins(photos: Photos, views: tuple[int, ...], xy: Tensor) -> Tensor | None:
    """Return `TokenBank.stand_ins` for tokens whose centres [P, 2] are photo pixel coordinates."""
    column, row = xy.cpu().long().T
    parts, complete = [], True
    for number, view in enumerate(views):
        seen = load_seen(photos.paths[view], 1)
        own = torch.arange(len(xy))
        kept = own if seen is None else seen[row, column].nonzero()[:, 0]
        if len(kept) and len(kept) < len(xy):
            own = kept[torch.cdist(xy.cpu().float(), xy.cpu().float()[kept]).argmin(dim=1)]
            complete = False
        parts.append(own + number * len(xy))
    return None if complete else torch.cat(parts)
