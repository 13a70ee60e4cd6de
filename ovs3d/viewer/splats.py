"""The surface of a scene as splats: baked once from the field, drawn many times a second."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovs3d.errors import StoreError
from ovs3d.field.checkpoint import load_tensors, save_tensors
from ovs3d.field.render import MIN_OPACITY
from ovs3d.photos.dataset import NO_LABEL
from ovs3d.space.cameras import Cameras, pixel_centres
from ovs3d.viewer.surface import RAYS_PER_CHUNK, Seen, Source, look

MOST_SPLATS = 400_000
"""As many are drawn in about 20 ms on one core, at 960 x 540 pixels."""

_KIND = "splats"
_VERSION = 1
"""To be raised when `bake` makes other splats of the same field."""
_RAYS = 1_000_000
_PREVIEW_RAYS = 60_000
_PREVIEW_VIEWS = 4
_MIN_SOLID = 0.3
"""Rays that find less of their weight in one surface graze an edge: their colour is a mixture."""
_CELL = 0.7
"""Side of the cells in which points become one, relative to the pixels that they come from."""
_COARSER = 1.15
_OVERLAP = 0.6
"""Half the side of a splat relative to that of its cell: with less there are holes."""


@dataclass(frozen=True, eq=False)
class Splats:
    """N pieces of surface.

    Attributes:
        positions: float32 [N, 3], world.
        radii: float32 [N], half the side of the square that stands for it, world units.
        colors: uint8 [N, 3], mean of what the views saw.
        logits: float16 [N, C], likewise.
    """

    positions: NDArray[np.float32]
    radii: NDArray[np.float32]
    colors: NDArray[np.uint8]
    logits: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.positions)

    @staticmethod
    def none() -> "Splats":
        """Return those of an empty scene."""
        empty = np.zeros((0, 3), dtype=np.float32)
        return Splats(
            empty, empty[:, 0], empty.astype(np.uint8), np.zeros((0, 0), dtype=np.float16)
        )

    @property
    def labels(self) -> NDArray[np.uint8]:
        """[N] index of the best label; `NO_LABEL` in a scene without."""
        if not self.logits.shape[1]:
            return np.full(len(self), NO_LABEL, dtype=np.uint8)
        best: NDArray[np.uint8] = self.logits.argmax(axis=1).astype(np.uint8)
        return best


_FIELDS = tuple(Splats.__dataclass_fields__)


def bake(
    source: Source,
    cameras: Cameras,
    rays: int,
    lock: AbstractContextManager[object],
    advance: Callable[[], None] = lambda: None,
    most: int = MOST_SPLATS,
) -> Splats:
    """Find the surface that the photos' cameras see.

    Args:
        source: the field.
        cameras: whose rays look for it.
        rays: about how many.
        lock: held while the field is busy, and given up now and then.
        advance: called after each view.
        most: splats that may come of it; the more there are to be, the larger they get.
    """
    downscale = max(1, round((len(cameras) * cameras.width * cameras.height / rays) ** 0.5))
    xy = pixel_centres(cameras.width, cameras.height, downscale)
    positions, sizes, seen = [], [], []
    for view in cameras.views:
        focal = float(cameras.intrinsics[cameras.row_of(view), 0])
        for part in torch.split(xy, RAYS_PER_CHUNK):
            origins, directions = cameras.rays(view, part)
            with lock:
                found = look(source, origins, directions)
            clean = (found.opacity >= MIN_OPACITY) & (found.solid >= _MIN_SOLID)
            found = found.select(clean)
            positions.append(origins[clean] + found.depth[:, None] * directions[clean])
            sizes.append(found.depth * (downscale / focal))
            seen.append(found)
        advance()
    return _merge(torch.cat(positions), torch.cat(sizes), Seen.join(seen), most)


def preview(source: Source, cameras: Cameras) -> Splats:
    """Bake, in a second or two, what a few of the cameras see."""
    count = min(_PREVIEW_VIEWS, len(cameras))
    rows = np.linspace(0, len(cameras) - 1, count).round().astype(int)
    return bake(
        source, cameras.only([cameras.views[row] for row in rows]), _PREVIEW_RAYS, nullcontext()
    )


def bake_all(
    source: Source,
    cameras: Cameras,
    lock: AbstractContextManager[object],
    advance: Callable[[], None],
) -> Splats:
    """Bake, in a quarter of a minute, what all cameras see; arguments as of `bake`."""
    return bake(source, cameras, _RAYS, lock, advance)


def keep(path: Path, made_from: Sequence[str], splats: Splats) -> None:
    """Write splats for `kept`.

    Args:
        path: of the file.
        made_from: digests of what they were baked from.
        splats: of all views.
    """
    tensors = {name: torch.from_numpy(getattr(splats, name)) for name in _FIELDS}
    save_tensors(path, _KIND, tensors, _config(made_from))


def kept(path: Path, made_from: Sequence[str]) -> Splats | None:
    """Return what `keep` left; None if there is nothing, or something else or older."""
    try:
        tensors, config = load_tensors(path, _KIND)
    except StoreError:
        return None
    if config != _config(made_from):
        return None
    return Splats(**{name: tensor.numpy() for name, tensor in tensors.items()})


def _config(made_from: Sequence[str]) -> dict[str, Any]:
    settings = [_RAYS, MOST_SPLATS, _MIN_SOLID, _CELL, _COARSER, _OVERLAP]
    return {"version": _VERSION, "settings": settings, "made_from": list(made_from)}


def _merge(positions: Tensor, sizes: Tensor, seen: Seen, most: int) -> Splats:
    """Make one splat of all points in a cell, whose side goes with the size of their pixels."""
    # Half octaves: what two views see from about the same distance falls into the same cells.
    level = (2 * sizes.clamp_min(1e-9).log2()).round()
    factor = _CELL
    while True:
        side = factor * 2 ** (level / 2)
        keys = torch.cat([level[:, None], (positions / side[:, None]).floor()], dim=1).long()
        cells, rows = _unique_rows(keys)
        if cells <= most:
            break
        factor *= _COARSER

    def mean(values: Tensor) -> Tensor:
        sums = torch.zeros(cells, values.shape[1]).index_add_(0, rows, values.float())
        return sums / counts

    counts = torch.zeros(cells).index_add_(0, rows, torch.ones(len(rows)))[:, None]
    return Splats(
        mean(positions).numpy(),
        mean(_OVERLAP * side[:, None])[:, 0].numpy(),
        (mean(seen.color) * 255).round().to(torch.uint8).numpy(),
        mean(seen.logits).half().numpy(),
    )


def _unique_rows(keys: Tensor) -> tuple[int, Tensor]:
    """Return how many different rows there are in [N, K], and which of them each is."""
    keys = keys - (keys.amin(dim=0) if len(keys) else 0)
    code = torch.zeros_like(keys[:, 0])
    for column in keys.unbind(dim=1):
        code = code * (int(column.max()) + 1 if len(column) else 1) + column
    unique, rows = torch.unique(code, return_inverse=True)
    return len(unique), rows
