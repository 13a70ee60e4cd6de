"""DINO tokens of the training views, drawn in square patches for FDA."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ovs3d.distill.baked_rays import BakedRays, bake_rays
from ovs3d.distill.calibration import TokenUnits, measure_token_units
from ovs3d.distill.inputs import DistillInputs
from ovs3d.errors import StoreError
from ovs3d.features.token_store import TokenStore
from ovs3d.field.model import Field
from ovs3d.photos.dataset import Photos, load_seen
from ovs3d.spill import Drawn, take

_UNIT_PATCHES = 64
"""Patches whose tokens are compared to learn how alike tokens are."""


@dataclass(frozen=True, eq=False)
class TokenBank:
    """DINO tokens of V views and the rays through their centres.

    Attributes:
        rays: of the V * h * w tokens, view after view, row by row.
        tokens: [V, h, w, E] float16, L2-normalised.
        stand_ins: [V * h * w] int64 on the CPU: for each token its own number or, if the photo
            leaves out the pixel in its middle by alpha, that of the nearest token of its view that
            stays; None if all stay.
    """

    rays: BakedRays
    tokens: Tensor
    stand_ins: Tensor | None = None

    def patch_index(self, count: int, side: int, generator: torch.Generator) -> Tensor:
        """Draw square patches of neighbouring tokens of one view.

        Args:
            count: of patches.
            side: in tokens; of a view that is smaller, all rows or columns are taken.
            generator: of the CPU.

        Returns:
            Ray numbers, int64 [count, side * side] on the CPU.
        """
        views, height, width, _ = self.tokens.shape
        side_y, side_x = min(side, height), min(side, width)

        def draw(high: int) -> Tensor:
            return torch.randint(high, (count, 1), generator=generator, device=generator.device)

        top = draw(views) * height + draw(height - side_y + 1)
        left = draw(width - side_x + 1)
        rows = torch.arange(side_y, device=left.device)
        columns = torch.arange(side_x, device=left.device)
        grid = (top[:, :, None] + rows[:, None]) * width + left[:, :, None] + columns
        patches = grid.flatten(1)
        return patches if self.stand_ins is None else self.stand_ins[patches]

    def tokens_of(self, drawn: Drawn) -> Tensor:
        """Return the tokens of N rays as float32 [N, E]."""
        return take(self.tokens.flatten(0, 2), drawn).float()

    def measure(self, side: int, generator: torch.Generator) -> TokenUnits:
        """Measure the similarities of tokens in patches of this side."""
        index = self.patch_index(_UNIT_PATCHES, side, generator)
        drawn = Drawn.on(self.rays.samples.offsets.device, index.flatten())
        return measure_token_units(self.tokens_of(drawn).view(*index.shape, -1))


def make_token_bank(
    field: Field, inputs: DistillInputs, views: tuple[int, ...], mass_kept: float
) -> TokenBank:
    """Bake the rays through the token centres of some views.

    Args:
        field: the reconstruction.
        inputs: scene, stores and texts.
        views: photo indices.
        mass_kept: see `bake_rays`.

    Raises:
        StoreError: the token store was made for photos of another size.
    """
    photos, store = inputs.photos, inputs.dino
    spill, device = inputs.spill, inputs.spill.device
    _check_size(store, photos)
    height, width = store.grid
    step = store.patch * store.downscale
    ys, xs = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    xy = (torch.stack((xs, ys), dim=-1).view(-1, 2) + 0.5) * step
    loaded = (store.load([view], device).float() for view in views)
    (tokens,) = spill.collect((functional.normalize(part, dim=-1).half(),) for part in loaded)
    rays = bake_rays(field, inputs.cameras, views, xy.float(), mass_kept, "tokens", spill)
    return TokenBank(rays, tokens, _stand_ins(photos, views, xy))


def _check_size(store: TokenStore, photos: Photos) -> None:
    height, width = (
        int(side / store.downscale) // store.patch for side in (photos.height, photos.width)
    )
    if tuple(store.grid) != (height, width):
        raise StoreError(
            f"{store.path}: holds {store.grid[1]} x {store.grid[0]} tokens of a view, but the "
            f"photos give {width} x {height}; run stage dino_features again"
        )


def _stand_ins(photos: Photos, views: tuple[int, ...], xy: Tensor) -> Tensor | None:
    """Return `TokenBank.stand_ins` for tokens with centres [P, 2] in photo pixels."""
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
