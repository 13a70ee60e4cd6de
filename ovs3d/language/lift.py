"""Lifting: every surface point takes the mean of the window features of all rays that see it.

No labels, no training: a feature counts with the weight by which the point shows in the pixel.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, embedding_bag, normalize

from ovs3d.errors import StoreError
from ovs3d.features.store import FeatureStore
from ovs3d.features.window_features import WindowFeatures
from ovs3d.field.march import march
from ovs3d.field.model import Field
from ovs3d.field.samples import RaySamples
from ovs3d.language.codes import Codes, choose_basis, encode
from ovs3d.language.params import LiftParams
from ovs3d.language.surface import LIGHT, Surface, empty_surface, limited, see
from ovs3d.photos.dataset import Photos, usable_pixels
from ovs3d.progress import progress
from ovs3d.resume import Checkpoint
from ovs3d.space.cameras import Cameras, pixel_centres

_LEAST_RAYS = 2
"""Voxels that fewer rays end in are no surface."""
_BASIS_PIXELS = 1 << 14
_PROBES = 1 << 10
"""Points whose features are kept whole as well, to measure what the codes lose."""
_RAYS_PER_CHUNK = 1 << 13


@dataclass(frozen=True, eq=False)
class LiftInputs:
    """What is lifted onto what.

    Attributes:
        field: the reconstruction.
        photos: of the scene.
        cameras: of the scene.
        train_views: photo indices of the views that are not held out.
        clip: the store of their windows.
    """

    field: Field
    photos: Photos
    cameras: Cameras
    train_views: tuple[int, ...]
    clip: FeatureStore

    @property
    def views(self) -> tuple[int, ...]:
        """The views that can be lifted: not held out, with a pose and with features."""
        known = set(self.cameras.views) & set(self.clip.views)
        return tuple(view for view in self.train_views if view in known)


@dataclass(frozen=True, eq=False)
class Lifted:
    """Surface and codes, row by row the same points.

    Attributes:
        surface: N voxels.
        codes: of the N points.
        cosines: float32, for every so many points and each scale, between the feature itself and
            what its code gives back, the mean of the features subtracted from both.
    """

    surface: Surface
    codes: Codes
    cosines: Tensor

    def rows(self) -> dict[str, object]:
        """Return a table for `summary_table`: sizes, and what the codes keep."""
        _, scales, components = self.codes.values.shape
        return {
            "points": len(self.surface.voxels),
            "scales": scales,
            "components": f"{components} of {self.codes.basis.shape[1]}",
            "cosine kept, mean": float(self.cosines.mean()),
            "cosine kept, 99 of 100": float(self.cosines.quantile(0.01)),
        }


class Lifter:
    """The work of stage lift, a view at a time, so that it can be interrupted between any two."""

    def __init__(self, inputs: LiftInputs, params: LiftParams) -> None:
        """Start with nothing seen.

        Raises:
            StoreError: no view has all that it takes.
        """
        if not inputs.views:
            raise StoreError(
                f"{inputs.clip.path}: has none of the views with a pose that are trained on; run "
                "stage clip_features again"
            )
        self._inputs, self._params = inputs, params
        self._device = inputs.field.occupancy.device
        xy = pixel_centres(inputs.photos.width, inputs.photos.height, params.downscale)
        self._xy = xy.to(self._device)
        self._cells = inputs.clip.cells(self._xy)
        self._surface = empty_surface(inputs.field)
        self._seen = 0
        self._lifted = 0
        empty = torch.zeros(0, device=self._device)
        self._basis, self._sums, self._probe_sums = empty, empty, empty

    def run(self, checkpoint: Checkpoint | None = None) -> Lifted:
        """Lift all views; one that is interrupted goes on from its checkpoint.

        Raises:
            StoreError: the rays of the photos end nowhere.
        """
        state = checkpoint.load(self._device) if checkpoint else None
        if state is not None:
            self._restore(state)
        views = self._inputs.views
        done = self._seen + self._lifted
        with progress("lift", 2 * len(views), "views") as advance:
            advance(done)
            for _ in range(2 * len(views) - done):
                self._step()
                advance(note="surface" if self._seen < len(views) else "features")
                if checkpoint is not None and checkpoint.due:
                    checkpoint.save(self._state())
        return self._finish()

    def _step(self) -> None:
        inputs, params = self._inputs, self._params
        if self._seen < len(inputs.views):
            view = inputs.views[self._seen]
            scene = (inputs.photos, inputs.cameras)
            self._surface = see(self._surface, inputs.field, *scene, view, params.downscale)
            self._seen += 1
            if self._seen == len(inputs.views):
                self._begin_features()
        else:
            self._lift(inputs.views[self._lifted])
            self._lifted += 1

    def _begin_features(self) -> None:
        """Settle which points there are and in which directions their features are kept."""
        found = limited(self._surface, self._params.points)
        often = found.sums[:, -1] >= _LEAST_RAYS
        self._surface = replace(found, voxels=found.voxels[often], sums=found.sums[often])
        count, clip = len(self._surface.voxels), self._inputs.clip
        if not count:
            raise StoreError(
                "the field has no surface that photos see; look at the pictures of stage "
                "reconstruct, and run it with more iterations"
            )
        self._basis = choose_basis(self._sample(), self._params.cosine)
        size = clip.scales * len(self._basis)
        self._sums = torch.zeros(count, size, device=self._device)
        probes = len(range(0, count, self._probe_step))
        self._probe_sums = torch.zeros(probes, clip.scales * clip.dim, device=self._device)

    @property
    def _probe_step(self) -> int:
        """Every so many points there is a probe."""
        return max(1, len(self._surface.voxels) // _PROBES)

    def _sample(self) -> Tensor:
        """Return features of pixels of all views, evenly spaced, [n, D] unit vectors."""
        each = _BASIS_PIXELS // len(self._inputs.views) + 1
        step = max(1, len(self._xy) // each) | 1
        pixels = torch.arange(0, len(self._xy), step, device=self._device)
        parts = [self._features(self._windows(view), view, pixels) for view in self._inputs.views]
        return torch.cat(parts).flatten(0, 1)

    def _windows(self, view: int) -> WindowFeatures:
        return self._inputs.clip.load([view], self._device, sigma=self._params.window_sigma)

    def _features(self, windows: WindowFeatures, view: int, pixels: Tensor) -> Tensor:
        """Return unit features [n, N_s, D] of pixels, by their places in `_xy`, of a view."""
        ys, xs = (side[pixels] for side in self._cells)
        return normalize(windows.gather(torch.full_like(ys, view), ys, xs), dim=2)

    def _lift(self, view: int) -> None:
        field, cameras, windows = self._inputs.field, self._inputs.cameras, self._windows(view)
        step = self._probe_step
        shown = usable_pixels(self._inputs.photos, (view,), self._params.downscale, self._device)
        if shown is None:
            shown = torch.arange(len(self._xy), device=self._device)
        for pixels in torch.split(shown, _RAYS_PER_CHUNK):
            samples = march(field, *cameras.rays(view, self._xy[pixels]), LIGHT)
            whole = self._features(windows, view, pixels)
            rows = self._surface.rows(samples.points)
            _add(self._sums, samples, rows, (whole @ self._basis.T).flatten(1))
            probed = torch.where(rows % step == 0, rows // step, -1)
            _add(self._probe_sums, samples, probed, whole.flatten(1))

    def _finish(self) -> Lifted:
        scales = self._inputs.clip.scales
        codes = encode(self._sums.view(len(self._sums), scales, -1), self._basis)
        whole = normalize(self._probe_sums.view(len(self._probe_sums), scales, -1), dim=2)
        probed = Codes(codes.values[:: self._probe_step], codes.steps, codes.basis)
        mean = whole.mean((0, 1))
        cosines = cosine_similarity(probed.decode() - mean, whole - mean, dim=2).flatten()
        return Lifted(self._surface, codes, cosines)

    def _state(self) -> dict[str, Any]:
        return {
            "seen": self._seen,
            "lifted": self._lifted,
            "cells": list(self._surface.cells),
            "voxels": self._surface.voxels,
            "surface": self._surface.sums,
            "basis": self._basis,
            "sums": self._sums,
            "probe_sums": self._probe_sums,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        x, y, z = state["cells"]
        self._surface = Surface((x, y, z), state["voxels"], state["surface"])
        self._seen, self._lifted = state["seen"], state["lifted"]
        self._basis, self._sums = state["basis"], state["sums"]
        self._probe_sums = state["probe_sums"]


def _add(sums: Tensor, samples: RaySamples, rows: Tensor, values: Tensor) -> None:
    """Add the values [R, C] of rays to the points that they see, in place.

    Args:
        sums: [N, C].
        samples: of the R rays.
        rows: int64 [M], the point of each sample, -1 for none.
        values: [R, C].
    """
    kept = (rows >= 0).nonzero().view(-1)
    # Sorted by point, each is one bag of rays: no table of a row per sample.
    if not len(kept):
        return
    order = kept[rows[kept].argsort(stable=True)]
    points, counts = torch.unique_consecutive(rows[order], return_counts=True)
    starts = counts.cumsum(0) - counts
    rays, weights = samples.rows[order], samples.weights[order]
    bags = embedding_bag(rays, values, starts, mode="sum", per_sample_weights=weights)
    sums.index_add_(0, points, bags)
