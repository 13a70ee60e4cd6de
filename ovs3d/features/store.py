"""Pixel features in the Zarr store of window embeddings."""

import math
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovs3d.device import to_device
from ovs3d.errors import StoreError
from ovs3d.features.window_features import WindowFeatures
from ovs3d.features.window_store import WindowStore
from ovs3d.features.windows import lattice
from ovs3d.spill import Spill


class FeatureStore(WindowStore):
    """`clip.zarr`, whose windows are gathered as features of pixels."""

    def made_by(self, encoder_digest: str) -> Self:
        """Return the store itself, unless its embeddings cannot be compared with a model's texts.

        Args:
            encoder_digest: of the model.

        Raises:
            StoreError: another model made the embeddings.
        """
        if encoder_digest != self.encoder_digest:
            raise StoreError(
                f"{self.path}: made by another CLIP model; run stage {self._STAGE} again"
            )
        return self

    def load(
        self,
        views: Sequence[int],
        device: torch.device,
        spill: Spill | None = None,
        sigma: float | None = None,
    ) -> WindowFeatures:
        """Bring the windows of some views into memory for `WindowFeatures.gather`.

        Args:
            views: photo indices.
            device: where features are gathered.
            spill: takes the embeddings; without one they go to `device`, all of them.
            sigma: weights windows by the distance of their centres, see `WindowFeatures`.

        Raises:
            StoreError: a view is not in the store or cannot be read.
        """
        rows = [self._row(view) for view in views]
        spill = spill or Spill(device, math.inf, self.path.parent)
        (embeddings,) = spill.collect((torch.from_numpy(self._read(view))[None],) for view in views)
        lattices = [
            lattice(self.width, self.height, divisor, self._strides) for divisor in self._divisors
        ]
        return WindowFeatures(
            views,
            (self.width, self.height),
            lattices,
            embeddings,
            to_device(torch.from_numpy(self._boxes[rows]), device),
            sigma,
        )

    def cells(self, xy: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows and columns of the working image, int64 [N], that photo points [N, 2] lie in.

        Points beyond the last whole working pixel belong to it.
        """
        columns, rows = (xy / self.downscale).long().unbind(dim=1)
        return rows.clamp(max=self.height - 1), columns.clamp(max=self.width - 1)

    def embeddings(self, view: int) -> NDArray[np.float16]:
        """Return the embeddings of the windows of one view as [M, D].

        Raises:
            StoreError: the view is not in the store or cannot be read.
        """
        return self._read(view)

    def pixels(self, view: int, ys: Tensor, xs: Tensor) -> Tensor:
        """Return the features of pixels of one view, for callers that need a few.

        Args:
            view: photo index.
            ys: [N] int64 rows of the working image.
            xs: [N] int64 columns of the working image.

        Returns:
            [N, N_s, D] float32: means of the windows that cover a pixel, not normalised.
        """
        return self.load([view], ys.device).gather(torch.full_like(ys, view), ys, xs)
